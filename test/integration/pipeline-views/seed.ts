import { json, sql, type Database } from '../../../src/platform/database/index.js';
import { Clock } from '../../../src/platform/clock/index.js';
import type { TaskStatus } from '../../../src/modules/pipeline/rules/task-status.js';

const clock = new Clock();
const LEASED: readonly string[] = ['context_running', 'task_running', 'guardrail_running', 'completing'];
const TERMINAL: readonly string[] = ['complete', 'failed', 'cancelled'];

export interface SeedTask {
  owner?: string;
  status?: TaskStatus;
  podId?: string;
  podName?: string;
  reviewBy?: 'owner' | 'admin';
  userInput?: string;
  priority?: number;
  vstart?: number;
  ready?: boolean;
  suspect?: boolean;
  nextStatus?: TaskStatus;
  started?: boolean;
  waitReason?: 'retry_at' | 'provider';
  waitProvider?: string;
  runAt?: Date;
  error?: string;
  errorCode?: string;
  output?: Record<string, unknown>;
  summary?: Record<string, unknown>;
  costUsd?: number;
  inputTokens?: number;
  /** Microseconds matter: an ISO text. */
  createdAt?: string;
  gate?: { id: string; kind: string; reason: string; details?: Record<string, unknown> };
}

/** Writes a task and its request as the write side does. */
export async function seedTask(db: Database, task: SeedTask = {}): Promise<string> {
  const id = clock.newId();
  const status = task.status ?? 'queued';
  const queued = status === 'queued';
  const leased = LEASED.includes(status);
  const createdAt = task.createdAt ?? new Date().toISOString();
  await db.query(
    'test.seedTask',
    sql`insert into tasks (id, owner, pod_id, pod_name, status, next_status, ready, suspect, priority, vstart, run_at, wait_reason,
          wait_provider, max_retries, lease_owner, lease_until, control, gate_id, error, error_code, cost_usd, input_tokens,
          created_at, queued_at, started_at, completed_at)
        values (${id}, ${task.owner ?? 'admin'}, ${task.podId ?? null}, ${task.podName ?? 'Quartet'}, ${status},
          ${queued ? (task.nextStatus ?? 'context_running') : null}, ${queued && (task.ready ?? true)}, ${task.suspect ?? false},
          ${task.priority ?? 5}, ${task.vstart ?? 1}, ${task.runAt ?? new Date()}, ${task.waitReason ?? null},
          ${task.waitProvider ?? null}, 2, ${leased ? 1 : null}, ${leased ? new Date(Date.now() + 60_000) : null}, '{}',
          ${task.gate?.id ?? null}, ${task.error ?? null}, ${task.errorCode ?? null}, ${task.costUsd ?? 0},
          ${task.inputTokens ?? 0}, ${createdAt}::timestamptz, ${createdAt}::timestamptz,
          ${task.started || !queued ? new Date() : null}, ${TERMINAL.includes(status) ? new Date() : null})`,
  );
  await db.query(
    'test.seedRequest',
    sql`insert into task_requests (task_id, user_input, metadata, pod)
        values (${id}, ${task.userInput ?? 'Do it.'}, '{"team":"a"}', ${json({ reviewBy: task.reviewBy ?? 'owner' })})`,
  );
  if (task.output || task.summary) {
    await db.query(
      'test.seedResult',
      sql`insert into task_results (task_id, output, summary)
          values (${id}, ${json(task.output ?? null)}, ${json(task.summary ?? {})})`,
    );
  }
  if (task.gate) {
    await db.query(
      'test.seedGate',
      sql`insert into gates (id, task_id, kind, reason, content_hash, details)
          values (${task.gate.id}, ${id}, ${task.gate.kind}, ${task.gate.reason}, 'abc', ${json(task.gate.details ?? {})})`,
    );
  }
  return id;
}

export interface SeedStage {
  role: string;
  iteration?: number;
  attempt?: number;
  status?: 'running' | 'complete' | 'failed' | 'skipped';
  output?: unknown;
  startedAt?: string;
}

export async function seedStage(db: Database, taskId: string, stage: SeedStage): Promise<string> {
  const id = clock.newId();
  const status = stage.status ?? 'complete';
  const startedAt = stage.startedAt ?? new Date().toISOString();
  await db.query(
    'test.seedStage',
    sql`insert into stages (id, task_id, role, position, iteration, attempt, status, output, cost_usd, duration_ms, started_at,
          completed_at)
        values (${id}, ${taskId}, ${stage.role}, 1, ${stage.iteration ?? 1}, ${stage.attempt ?? 1}, ${status},
          ${json(stage.output ?? null)}, 0.25, 1500, ${startedAt}::timestamptz, ${status === 'running' ? null : new Date()})`,
  );
  return id;
}

export async function seedFinding(db: Database, taskId: string, stageId: string, description: string): Promise<string> {
  const id = clock.newId();
  await db.query(
    'test.seedFinding',
    sql`insert into findings (id, task_id, stage_id, finding_type, severity, description, evidence, iteration, deterministic)
        values (${id}, ${taskId}, ${stageId}, 'other', 'low', ${description}, 'evidence', 1, false)`,
  );
  return id;
}

export async function seedArtifact(
  db: Database,
  taskId: string,
  artifact: { type: string; content?: string; createdAt?: string },
): Promise<string> {
  const id = clock.newId();
  await db.query(
    'test.seedArtifact',
    sql`insert into artifacts (id, task_id, artifact_type, name, content, content_hash, created_at)
        values (${id}, ${taskId}, ${artifact.type}, 'an artifact', ${artifact.content ?? 'content'}, 'hash',
          ${artifact.createdAt ?? new Date().toISOString()}::timestamptz)`,
  );
  return id;
}

/** Appends events in one transaction with the task's row, as every transition does. */
export async function seedEvents(
  db: Database,
  taskId: string,
  events: readonly { type: string; data?: Record<string, unknown> }[],
  end?: TaskStatus,
): Promise<void> {
  await db.query(
    'test.seedEvents',
    sql`with t as (
          update tasks set event_seq = event_seq + ${events.length},
            status = coalesce(${end ?? null}, status), next_status = case when ${end ?? null}::text is null then next_status end,
            ready = ready and ${end ?? null}::text is null,
            completed_at = case when ${end ?? null}::text is null then completed_at else clock_timestamp() end
          where id = ${taskId} returning id, event_seq)
        insert into task_events (task_id, seq, type, data)
        select t.id, t.event_seq - ${events.length} + e.ordinality, e.value ->> 'type', coalesce(e.value -> 'data', '{}')
        from t, jsonb_array_elements(${json(events)}::jsonb) with ordinality e`,
  );
}
