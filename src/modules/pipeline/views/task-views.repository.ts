import { Injectable } from '@nestjs/common';
import {
  Database,
  joinSql,
  preparedSql,
  sql,
  type Sql,
  type ColumnAs,
  type GateRow,
  type TaskRequestRow,
  type TaskResultRow,
  type TaskRow,
} from '../../../platform/database/index.js';
import { pageOf, type Cursor, type Page, type PageRequest } from '../../../platform/paging/index.js';
import type { ReviewBy } from '../../pods/index.js';
import { filterConditions, type TaskFilter } from '../store/task-filter.repository.js';
import type { TaskOutput, TaskSummary } from '../store/transition.js';
import type { Role, TaskStatus } from '../rules/task-status.js';
import { roleOf, type TaskDetailView, type TaskView, type WaitingFor } from './task-view.js';
import { shownArtifact } from './task-parts.repository.js';

/** How far into the queue a position is counted. */
const COUNTED_POSITIONS = 1_000;
/** Characters of a text that lists read: one more than they show, which says that there is more. */
export const LISTED_TEXT = 2_001;

/** What decides who sees which part of a task. */
export interface TaskAccess {
  owner: string;
  status: TaskStatus;
  reviewBy: ReviewBy;
}

type SelectedTask = Pick<
  TaskRow,
  | 'id'
  | 'status'
  | 'pod_id'
  | 'pod_name'
  | 'error'
  | 'error_code'
  | 'next_status'
  | 'attempt'
  | 'retry_count'
  | 'max_retries'
  | 'priority'
  | 'created_at'
  | 'queued_at'
  | 'started_at'
  | 'completed_at'
  | 'updated_at'
  | 'last_heartbeat_at'
  | 'input_tokens'
  | 'cached_input_tokens'
  | 'output_tokens'
  | 'cost_usd'
  | 'error_context'
> &
  Pick<TaskRequestRow, 'user_input' | 'metadata'> &
  Pick<TaskResultRow, 'output' | 'summary'> & {
    metadata: Record<string, unknown>;
    output: TaskOutput | null;
    summary: TaskSummary | null;
    error_context: Record<string, unknown> | null;
    last_role: Role | null;
    gate_id: GateRow['id'] | null;
    gate_kind: GateRow['kind'];
    gate_reason: GateRow['reason'];
    gate_opened_at: GateRow['opened_at'];
    gate_content_hash: GateRow['content_hash'];
    gate_details: ColumnAs<GateRow, 'details', Record<string, unknown>>;
    cursor_at: string;
  };

type SelectedDetail = SelectedTask &
  Pick<TaskRow, 'ready' | 'suspect' | 'wait_reason' | 'wait_provider' | 'run_at'> & {
    checkpoint: Partial<Record<Role, unknown>> | null;
    findings_count: number;
    reviews_count: number;
    artifacts_count: number;
    place: number | null;
  };

const TASK_COLUMNS = sql`
  t.id, t.status, t.pod_id, t.pod_name, q.metadata, t.error_code, t.error_context,
  case when t.status = 'complete' then r.output end as output, case when t.status = 'complete' then r.summary end as summary,
  t.next_status, t.attempt, t.retry_count, t.max_retries, t.priority,
  case when t.status in ('pending_human_review', 'failed', 'cancelled', 'completing') then (
    select s.role from stages s where s.task_id = t.id order by s.started_at desc, s.id desc limit 1
  ) end as last_role,
  g.id as gate_id, g.kind as gate_kind, g.reason as gate_reason, g.opened_at as gate_opened_at,
  g.content_hash as gate_content_hash, g.details as gate_details,
  t.created_at, t.queued_at, t.started_at, t.completed_at, t.updated_at, t.last_heartbeat_at,
  t.input_tokens, t.cached_input_tokens, t.output_tokens, t.cost_usd,
  to_char(t.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as cursor_at`;

const TASK_TABLES = sql`
  join task_requests q on q.task_id = t.id
  left join task_results r on r.task_id = t.id
  left join gates g on g.id = t.gate_id and g.decision is null`;

/** Reads tasks for their viewers. */
@Injectable()
export class TaskViewsRepository {
  constructor(private readonly db: Database) {}

  /**
   * Tasks of `owners` (null: everybody's), newest first. `userInput` and `error` come cut to `LISTED_TEXT`.
   */
  async list(owners: readonly string[] | null, filter: TaskFilter, page: PageRequest): Promise<Page<TaskView>> {
    const continued = page.after && sql`(t.created_at, t.id) < (${page.after.at}::timestamptz, ${page.after.id}::uuid)`;
    const conditions = joinSql([filterConditions(filter), ...(continued ? [continued] : [])], ' and ');
    const newest = sql`order by t.created_at desc, t.id desc`;
    const reach = page.limit + 1 + page.offset;
    // One walk of tasks_owner_created_at_id_idx per owner, so a page costs the same at any size of the table.
    const source =
      owners === null
        ? sql`(select t.* from tasks t where ${conditions} ${newest} limit ${reach})`
        : sql`(select own.* from unnest(${owners}::text[]) as o (owner) cross join lateral (
            select t.* from tasks t where t.owner = o.owner and ${conditions} ${newest} limit ${reach}) own)`;
    const rows = await this.db.query<SelectedTask>(
      'pipeline.listTasks',
      sql`select ${TASK_COLUMNS},
          left(q.user_input, ${LISTED_TEXT}) as user_input, left(t.error, ${LISTED_TEXT}) as error
        from (select t.* from ${source} t ${newest} limit ${page.limit + 1} offset ${page.offset}) t
        ${TASK_TABLES} ${newest}`,
    );
    return pageOf(rows, page.limit, cursorOf, toTask);
  }

  /** One task; `unreleased` counts the artifacts that wait for a person's word too. */
  async find(id: string, owners: readonly string[] | null, unreleased: boolean): Promise<TaskDetailView | null> {
    const row = await this.db.maybeOne<SelectedDetail>(
      'pipeline.findTask',
      sql`select ${TASK_COLUMNS}, q.user_input, t.error, t.ready, t.suspect, t.wait_reason, t.wait_provider, t.run_at,
          (select jsonb_object_agg(newest.role, newest.output) from (
            select distinct on (s.role) s.role, s.output from stages s
            where s.task_id = t.id and s.status = 'complete' and (s.role <> 'task' or t.status = 'complete')
            order by s.role, s.iteration desc, s.attempt desc) newest) as checkpoint,
          (select count(*) from findings f where f.task_id = t.id) as findings_count,
          (select count(*) from reviews v where v.task_id = t.id) as reviews_count,
          (select count(*) from artifacts a
            where a.task_id = t.id and ${shownArtifact(unreleased)}) as artifacts_count,
          case when t.ready and not t.suspect then (
            select head.place from (
              select due.id, row_number() over (order by due.priority desc, due.vstart, due.id) as place
              from (select w.id, w.priority, w.vstart from tasks w where w.ready and not w.suspect
                order by w.priority desc, w.vstart, w.id limit ${COUNTED_POSITIONS}) due) head
            where head.id = t.id) end as place
        from tasks t ${TASK_TABLES}
        where t.id = ${id} and ${owned(owners)}`,
    );
    return row && toTaskDetail(row);
  }

  /** Who owns a task and who may review it; null when it does not exist for `owners`. */
  async findAccess(id: string, owners: readonly string[] | null): Promise<TaskAccess | null> {
    const row = await this.db.maybeOne<Pick<TaskRow, 'owner' | 'status'> & { review_by: ReviewBy | null }>(
      'pipeline.findTaskAccess',
      preparedSql`select t.owner, t.status, q.pod ->> 'reviewBy' as review_by
        from tasks t join task_requests q on q.task_id = t.id where t.id = ${id} and ${owned(owners)}`,
    );
    // A snapshot that does not say who reviews is the admin's to decide.
    return row && { owner: row.owner, status: row.status, reviewBy: row.review_by ?? 'admin' };
  }
}

function cursorOf(row: SelectedTask): Cursor {
  return { at: row.cursor_at, id: row.id };
}

function owned(owners: readonly string[] | null): Sql {
  return owners === null ? sql`true` : sql`t.owner = any(${owners}::text[])`;
}

function toTask(row: SelectedTask): TaskView {
  return {
    id: row.id,
    status: row.status,
    podId: row.pod_id,
    podName: row.pod_name,
    userInput: row.user_input,
    output: row.output,
    error: row.error,
    errorContext: row.error_code === null ? row.error_context : { ...row.error_context, code: row.error_code },
    currentStage: currentStage(row),
    attempt: row.attempt,
    retryCount: row.retry_count,
    maxRetries: row.max_retries,
    priority: row.priority,
    review:
      row.gate_id === null
        ? null
        : {
            gateId: row.gate_id,
            kind: row.gate_kind,
            reason: row.gate_reason,
            since: row.gate_opened_at,
            contentHash: row.gate_content_hash,
            details: row.gate_details,
          },
    createdAt: row.created_at,
    queuedAt: row.queued_at,
    startedAt: row.started_at,
    completedAt: row.completed_at,
    updatedAt: row.updated_at,
    lastHeartbeatAt: row.last_heartbeat_at,
    metadata: row.metadata,
    summary: row.summary,
    totalInputTokens: row.input_tokens,
    totalCachedInputTokens: row.cached_input_tokens,
    totalOutputTokens: row.output_tokens,
    totalCostUsd: row.cost_usd,
  };
}

function currentStage(row: SelectedTask): Role | null {
  if (row.status === 'queued') return row.started_at === null ? null : roleOf(row.next_status);
  return roleOf(row.status) ?? row.last_role;
}

function toTaskDetail(row: SelectedDetail): TaskDetailView {
  return {
    ...toTask(row),
    checkpoint: row.checkpoint ?? {},
    findingsCount: row.findings_count,
    reviewsCount: row.reviews_count,
    artifactsCount: row.artifacts_count,
    waitingFor: waitingFor(row),
  };
}

function waitingFor(row: SelectedDetail): WaitingFor | null {
  if (row.gate_id !== null) return { reason: 'review', gateId: row.gate_id };
  if (row.status !== 'queued') return null;
  if (row.ready && row.suspect) return { reason: 'suspect_slot' };
  if (row.ready) return { reason: 'position', position: row.place ?? `>${COUNTED_POSITIONS}` };
  if (row.wait_reason === 'provider') return { reason: 'provider', until: row.run_at, provider: row.wait_provider };
  return { reason: 'retry_at', until: row.run_at };
}
