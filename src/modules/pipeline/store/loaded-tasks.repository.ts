import { Injectable } from '@nestjs/common';
import {
  Database,
  preparedSql,
  type CamelRow,
  type ColumnAs,
  type FindingRow,
  type GateRow,
  type StageJournalRow,
  type StageRow,
  type TaskRequestRow,
  type TaskRow,
} from '../../../platform/database/index.js';
import type { PodSnapshot } from '../../pods/index.js';
import type { StageEntry } from './journal.repository.js';
import type { OpenFinding, StageRecord } from '../rules/situation.js';
import type { TaskControl } from '../rules/task-control.js';
import type { TaskStatus } from '../rules/task-status.js';

export interface StageHistoryRecord extends StageRecord {
  position: StageRow['position'];
}

export interface KnownFinding extends OpenFinding {
  iteration: FindingRow['iteration'];
  open: boolean;
}

/** Everything that is needed to go on with a task. */
export interface LoadedTask {
  id: string;
  owner: string;
  /** The tasks and turns whose tools led to it, outermost first. */
  ancestors: string[];
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
  userInput: string;
  metadata: Record<string, unknown>;
  pod: PodSnapshot;
  /** Oldest first. */
  stages: StageHistoryRecord[];
  findings: KnownFinding[];
  /** By stage, of stages that have not ended. */
  journals: Map<string, StageEntry[]>;
  gate:
    (CamelRow<Pick<GateRow, 'id' | 'kind' | 'content_hash' | 'details'>> & { details: Record<string, unknown> }) | null;
}

type SelectedTask = Pick<
  TaskRow,
  | 'id'
  | 'owner'
  | 'ancestors'
  | 'status'
  | 'epoch'
  | 'version'
  | 'control'
  | 'max_retries'
  | 'input_tokens'
  | 'output_tokens'
  | 'cost_usd'
  | 'granted_usd'
  | 'promised_usd'
  | 'execution_ms'
> &
  Pick<TaskRequestRow, 'user_input' | 'metadata' | 'pod'> & {
    control: TaskControl;
    metadata: Record<string, unknown>;
    pod: PodSnapshot;
    stages: StageHistoryRecord[];
    findings: KnownFinding[];
    journal: { stageId: StageJournalRow['stage_id']; entry: ColumnAs<StageJournalRow, 'entry', StageEntry> }[];
    gate: LoadedTask['gate'];
  };

/** Loads a task with its request, stages, findings, journals and open gate. */
@Injectable()
export class LoadedTasksRepository {
  constructor(private readonly database: Database) {}

  /** The task as of one moment, or null when there is none. Every write afterwards is guarded by what was read. */
  async find(taskId: string): Promise<LoadedTask | null> {
    const row = await this.database.maybeOne<SelectedTask>(
      'tasks.findRun',
      preparedSql`
        select t.id, t.owner, t.ancestors, t.status, t.epoch, t.version, t.control, t.max_retries, t.input_tokens, t.output_tokens, t.cost_usd,
          t.granted_usd, t.promised_usd, t.execution_ms, r.user_input, r.metadata, r.pod,
          (select coalesce(json_agg(json_build_object(
               'id', s.id, 'role', s.role, 'position', s.position, 'iteration', s.iteration, 'attempt', s.attempt,
               'status', s.status, 'output', s.output, 'error', s.error, 'errorCode', s.error_code)
               order by s.started_at, s.id), '[]')
             from stages s where s.task_id = t.id) as stages,
          (select coalesce(json_agg(json_build_object(
               'id', f.id, 'type', f.finding_type, 'severity', f.severity, 'deterministic', f.deterministic,
               'iteration', f.iteration, 'open', f.status = 'open')
               order by f.created_at, f.id), '[]')
             from findings f where f.task_id = t.id) as findings,
          (select coalesce(json_agg(json_build_object('stageId', j.stage_id, 'entry', j.entry) order by j.stage_id, j.seq), '[]')
             from stage_journal j join stages s on s.id = j.stage_id
             where s.task_id = t.id and s.status = 'running') as journal,
          (select json_build_object('id', g.id, 'kind', g.kind, 'contentHash', g.content_hash, 'details', g.details)
             from gates g where g.id = t.gate_id) as gate
        from tasks t join task_requests r on r.task_id = t.id
        where t.id = ${taskId}`,
    );
    if (row === null) return null;
    const journals = new Map<string, StageEntry[]>();
    for (const { stageId, entry } of row.journal) {
      const entries = journals.get(stageId);
      if (entries === undefined) journals.set(stageId, [entry]);
      else entries.push(entry);
    }
    return {
      id: row.id,
      owner: row.owner,
      ancestors: row.ancestors,
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
      userInput: row.user_input,
      metadata: row.metadata,
      pod: row.pod,
      stages: row.stages,
      findings: row.findings,
      journals,
      gate: row.gate,
    };
  }
}
