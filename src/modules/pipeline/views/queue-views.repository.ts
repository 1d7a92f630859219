import { Injectable } from '@nestjs/common';
import {
  Database,
  sql,
  type CamelRow,
  type DeadLetterRow,
  type TaskRequestRow,
  type TaskRow,
} from '../../../platform/database/index.js';
import { pageOf, type Cursor, type Page, type PageRequest } from '../../../platform/paging/index.js';
import { isLeased, TASK_STATUSES, type Role, type TaskStatus } from '../rules/task-status.js';
import { LISTED_TEXT } from './task-views.repository.js';
import { WORKER_LOCK_CLASS } from '../store/workers.repository.js';

export interface QueueStatsView {
  queueDepth: number;
  deadLetterDepth: number;
  running: number;
  waitingReview: number;
  /** Null while nothing is queued. */
  oldestQueuedSeconds: number | null;
  workers: number;
  byStatus: Record<TaskStatus, number>;
}

export type DeadLetterView = CamelRow<
  Pick<DeadLetterRow, 'task_id' | 'reason' | 'error' | 'stage' | 'attempts' | 'dead_at'> & {
    stage: Role | null;
  } & Pick<TaskRow, 'pod_name' | 'queued_at'> &
    Pick<TaskRequestRow, 'user_input'>
>;

/** Reads the queue as a whole. */
@Injectable()
export class QueueViewsRepository {
  constructor(private readonly db: Database) {}

  /** All figures are of one snapshot, but for the locks, which PostgreSQL shows as they are. */
  async stats(): Promise<QueueStatsView> {
    const row = await this.db.one<{
      by_status: Partial<Record<TaskStatus, number>>;
      dead_letters: number;
      oldest_seconds: number | null;
      workers: number;
    }>(
      'pipeline.readQueueStats',
      sql`select
          (select coalesce(jsonb_object_agg(c.status, c.tasks), '{}')
            from (select t.status, count(*) as tasks from tasks t group by t.status) c) as by_status,
          (select count(*) from dead_letters) as dead_letters,
          (select max(greatest(extract(epoch from statement_timestamp() - t.queued_at), 0))
            from tasks t where t.status = 'queued') as oldest_seconds,
          (select count(distinct w.id) from workers w join pg_locks l on l.objid::bigint = w.id
            where l.locktype = 'advisory' and l.classid::bigint = ${WORKER_LOCK_CLASS} and l.objsubid = 2 and l.granted
              and l.database = (select d.oid from pg_database d where d.datname = current_database())) as workers`,
    );
    const count = (status: TaskStatus): number => row.by_status[status] ?? 0;
    const byStatus = Object.fromEntries(TASK_STATUSES.map((status) => [status, count(status)])) as Record<
      TaskStatus,
      number
    >;
    return {
      queueDepth: count('queued'),
      deadLetterDepth: row.dead_letters,
      running: TASK_STATUSES.filter(isLeased).reduce((sum, status) => sum + count(status), 0),
      waitingReview: count('pending_human_review'),
      oldestQueuedSeconds: row.oldest_seconds,
      workers: row.workers,
      byStatus,
    };
  }

  /** Dead letters, newest first; `userInput` and `error` come cut to `LISTED_TEXT`. */
  async deadLetters(page: PageRequest): Promise<Page<DeadLetterView>> {
    const after = page.after
      ? sql`where (d.dead_at, d.task_id) < (${page.after.at}::timestamptz, ${page.after.id}::uuid)`
      : sql``;
    const rows = await this.db.query<{ id: string; cursor_at: string } & Omit<DeadLetterView, 'taskId'>>(
      'pipeline.listDeadLetters',
      sql`select d.task_id as id, d.reason, left(d.error, ${LISTED_TEXT}) as error, d.stage, d.attempts, t.pod_name as "podName",
          left(q.user_input, ${LISTED_TEXT}) as "userInput", t.queued_at as "queuedAt", d.dead_at as "deadAt",
          to_char(d.dead_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as cursor_at
        from (select * from dead_letters d ${after}
          order by d.dead_at desc, d.task_id desc limit ${page.limit + 1} offset ${page.offset}) d
        join tasks t on t.id = d.task_id join task_requests q on q.task_id = d.task_id
        order by d.dead_at desc, d.task_id desc`,
    );
    return pageOf(rows, page.limit, cursorOf, ({ id, cursor_at: _keyset, ...row }) => ({ taskId: id, ...row }));
  }
}

function cursorOf(row: { id: string; cursor_at: string }): Cursor {
  return { at: row.cursor_at, id: row.id };
}
