import { Injectable } from '@nestjs/common';
import {
  Database,
  preparedSql,
  sql,
  type CamelRow,
  type TaskEventRow,
  type TaskRow,
} from '../../../platform/database/index.js';
import type { EventType } from '../store/transition.js';
import { isTerminal } from '../rules/task-status.js';

/** One event of one task. */
export type TaskEventView = CamelRow<
  Pick<TaskEventRow, 'seq' | 'type' | 'task_id' | 'at' | 'data'> & { data: Record<string, unknown> }
>;

/** A stretch of one task's log. */
export interface EventBatch {
  events: TaskEventView[];
  /** True when the task has ended and this stretch holds its last event. */
  last: boolean;
}

/** An event together with what decides who hears of it. */
export type OwnedEvent = TaskEventView & CamelRow<Pick<TaskRow, 'owner' | 'pod_name'>>;

/** Reads the log of what happened to tasks. */
@Injectable()
export class TaskEventsRepository {
  constructor(private readonly db: Database) {}

  /**
   * Up to `limit` events of a task after `seq`; null when there is no such task. A task's events are written under the
   * lock of its row, in the transaction of what they tell, so they appear in the order of `seq` and none appears late;
   * the status is read in the same snapshot, so nothing can come between the last event and the end.
   */
  async after(taskId: string, seq: number, limit: number): Promise<EventBatch | null> {
    const rows = await this.db.query<Pick<TaskRow, 'status'> & (Omit<TaskEventView, 'taskId'> | { seq: null })>(
      'pipeline.readTaskEvents',
      preparedSql`select t.status, e.seq, e.type, e.at, e.data from tasks t left join lateral (
          select v.seq, v.type, v.at, v.data from task_events v
          where v.task_id = t.id and v.seq > ${seq} order by v.seq limit ${limit}) e on true
        where t.id = ${taskId} order by e.seq`,
    );
    const [first] = rows;
    if (first === undefined) return null;
    const events = rows.flatMap((row) =>
      row.seq === null ? [] : [{ seq: row.seq, type: row.type, taskId, at: row.at, data: row.data }],
    );
    return { events, last: isTerminal(first.status) && events.length < limit };
  }

  /** The newest `seq` and whether the task has ended, for each of `ids` that still exists. */
  async heads(ids: readonly string[]): Promise<Map<string, { seq: number; ended: boolean }>> {
    const rows = await this.db.query<Pick<TaskRow, 'id' | 'event_seq' | 'status'>>(
      'pipeline.readEventHeads',
      preparedSql`select t.id, t.event_seq, t.status from tasks t where t.id = any(${ids}::uuid[])`,
    );
    return new Map(rows.map((row) => [row.id, { seq: row.event_seq, ended: isTerminal(row.status) }]));
  }

  /** The named events, of any task. */
  async named(keys: readonly { taskId: string; seq: number }[]): Promise<OwnedEvent[]> {
    return this.db.query<OwnedEvent>(
      'pipeline.readNamedEvents',
      sql`select e.seq, e.type, e.task_id as "taskId", e.at, e.data, t.owner, t.pod_name as "podName"
        from unnest(${keys.map((key) => key.taskId)}::uuid[], ${keys.map((key) => key.seq)}::bigint[]) as k (task_id, seq)
        join task_events e on e.task_id = k.task_id and e.seq = k.seq
        join tasks t on t.id = e.task_id
        order by e.at, e.task_id, e.seq`,
    );
  }

  /**
   * Events of the given types in the last `seconds`, oldest first. `at` is not the order of commits, so a caller that
   * follows the log reads an overlapping stretch each time and drops what it knows.
   */
  async recent(types: readonly EventType[], seconds: number, limit: number): Promise<OwnedEvent[]> {
    return this.db.query<OwnedEvent>(
      'pipeline.readRecentEvents',
      sql`select n.* from (
          select e.seq, e.type, e.task_id as "taskId", e.at, e.data, t.owner, t.pod_name as "podName"
          from task_events e join tasks t on t.id = e.task_id
          where e.at > statement_timestamp() - ${seconds} * interval '1 second' and e.type = any(${types}::text[])
          order by e.at desc limit ${limit}) n
        order by n.at, n."taskId", n.seq`,
    );
  }
}
