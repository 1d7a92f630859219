import { Injectable } from '@nestjs/common';
import { Database, preparedSql } from '../../platform/database/index.js';
import type { PodSnapshot } from '../pods/index.js';
import type { StageEntry } from './journal.repository.js';
import type { OpenFinding, Severity, StageRecord } from './plan.js';
import type { TaskControl, GateKind } from './task-control.js';
import type { Role, TaskStatus } from './task.js';

export interface StageHistoryRecord extends StageRecord {
  position: number;
  inputTokens: number;
  outputTokens: number;
  costUsd: number | null;
}

export interface KnownFinding extends OpenFinding {
  iteration: number;
  open: boolean;
  description: string;
  evidence: string;
}

/** Everything that is needed to go on with a task. */
export interface TaskRun {
  id: string;
  owner: string;
  status: TaskStatus;
  epoch: number;
  version: number;
  control: TaskControl;
  maxRetries: number;
  inputTokens: number;
  outputTokens: number;
  costUsd: number;
  /** USD of the limit that went to work which tools of the task started. */
  grantedUsd: number;
  /** USD that calls of earlier workers may have cost which never said so. */
  promisedUsd: number;
  executionMs: number;
  startedAt: Date | null;
  userInput: string;
  metadata: Record<string, unknown>;
  pod: PodSnapshot;
  /** Oldest first. */
  stages: StageHistoryRecord[];
  findings: KnownFinding[];
  /** By stage, of stages that have not ended. */
  journals: Map<string, StageEntry[]>;
  gate: { id: string; kind: GateKind; contentHash: string; details: Record<string, unknown> } | null;
}

interface RunRow {
  id: string;
  owner: string;
  status: TaskStatus;
  epoch: number;
  version: number;
  control: TaskControl;
  max_retries: number;
  input_tokens: number;
  output_tokens: number;
  cost_usd: number;
  granted_usd: number;
  promised_usd: number;
  execution_ms: number;
  started_at: Date | null;
  user_input: string;
  metadata: Record<string, unknown>;
  pod: PodSnapshot;
  gate_id: string | null;
  gate_kind: GateKind | null;
  gate_content_hash: string | null;
  gate_details: Record<string, unknown> | null;
}

interface StageRow {
  id: string;
  role: Role;
  position: number;
  iteration: number;
  attempt: number;
  status: StageRecord['status'];
  output: unknown;
  error: string | null;
  error_code: string | null;
  input_tokens: number;
  output_tokens: number;
  cost_usd: number | null;
}

interface FindingRow {
  id: string;
  finding_type: string;
  severity: Severity;
  deterministic: boolean;
  iteration: number;
  status: 'open' | 'resolved';
  description: string;
  evidence: string;
}

/** Loads a task with its request, stages, findings, journals and open gate. */
@Injectable()
export class TaskRunsRepository {
  constructor(private readonly database: Database) {}

  /** The task, or null when there is none. Reads several statements; every write afterwards is guarded by what was read. */
  async find(taskId: string): Promise<TaskRun | null> {
    const row = await this.database.maybeOne<RunRow>(
      'tasks.findRun',
      preparedSql`
        select t.id, t.owner, t.status, t.epoch, t.version, t.control, t.max_retries, t.input_tokens, t.output_tokens, t.cost_usd,
          t.granted_usd, t.promised_usd, t.execution_ms, t.started_at, r.user_input, r.metadata, r.pod, g.id as gate_id,
          g.kind as gate_kind, g.content_hash as gate_content_hash, g.details as gate_details
        from tasks t join task_requests r on r.task_id = t.id left join gates g on g.id = t.gate_id
        where t.id = ${taskId}`,
    );
    if (row === null) return null;
    const [stages, findings, journals] = await Promise.all([
      this.stages(taskId),
      this.findings(taskId),
      this.journals(taskId),
    ]);
    return {
      id: row.id,
      owner: row.owner,
      status: row.status,
      epoch: row.epoch,
      version: row.version,
      control: row.control,
      maxRetries: row.max_retries,
      inputTokens: row.input_tokens,
      outputTokens: row.output_tokens,
      costUsd: row.cost_usd,
      grantedUsd: row.granted_usd,
      promisedUsd: row.promised_usd,
      executionMs: row.execution_ms,
      startedAt: row.started_at,
      userInput: row.user_input,
      metadata: row.metadata,
      pod: row.pod,
      stages,
      findings,
      journals,
      gate:
        row.gate_id !== null && row.gate_kind !== null
          ? {
              id: row.gate_id,
              kind: row.gate_kind,
              contentHash: row.gate_content_hash ?? '',
              details: row.gate_details ?? {},
            }
          : null,
    };
  }

  private async stages(taskId: string): Promise<StageHistoryRecord[]> {
    const rows = await this.database.query<StageRow>(
      'stages.findByTask',
      preparedSql`
        select id, role, position, iteration, attempt, status, output, error, error_code, input_tokens, output_tokens, cost_usd
        from stages where task_id = ${taskId} order by started_at, id`,
    );
    return rows.map((row) => ({
      id: row.id,
      role: row.role,
      position: row.position,
      iteration: row.iteration,
      attempt: row.attempt,
      status: row.status,
      output: row.output,
      error: row.error,
      errorCode: row.error_code,
      inputTokens: row.input_tokens,
      outputTokens: row.output_tokens,
      costUsd: row.cost_usd,
    }));
  }

  private async findings(taskId: string): Promise<KnownFinding[]> {
    const rows = await this.database.query<FindingRow>(
      'findings.findByTask',
      preparedSql`
        select id, finding_type, severity, deterministic, iteration, status, description, evidence
        from findings where task_id = ${taskId} order by created_at, id`,
    );
    return rows.map((row) => ({
      id: row.id,
      type: row.finding_type,
      severity: row.severity,
      deterministic: row.deterministic,
      iteration: row.iteration,
      open: row.status === 'open',
      description: row.description,
      evidence: row.evidence,
    }));
  }

  private async journals(taskId: string): Promise<Map<string, StageEntry[]>> {
    const rows = await this.database.query<{ stage_id: string; entry: StageEntry }>(
      'journal.findByTask',
      preparedSql`
        select j.stage_id, j.entry from stage_journal j join stages s on s.id = j.stage_id
        where s.task_id = ${taskId} and s.status = 'running' order by j.stage_id, j.seq`,
    );
    const journals = new Map<string, StageEntry[]>();
    for (const { stage_id, entry } of rows) journals.set(stage_id, [...(journals.get(stage_id) ?? []), entry]);
    return journals;
  }
}

/** The newest attempt of each role's newest iteration. */
export function newestStages(stages: readonly StageRecord[]): Partial<Record<Role, StageRecord>> {
  const newest: Partial<Record<Role, StageRecord>> = {};
  for (const stage of stages) {
    const known = newest[stage.role];
    const later =
      known === undefined ||
      stage.iteration > known.iteration ||
      (stage.iteration === known.iteration && stage.attempt > known.attempt);
    if (later) newest[stage.role] = stage;
  }
  return newest;
}
