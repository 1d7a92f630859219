import { Injectable } from '@nestjs/common';
import { Database, sql, type TaskRow } from '../../../platform/database/index.js';
import type { PodTasksSource } from '../../pods/index.js';
import type { TaskFate } from '../../tools/index.js';
import { taskOfTree, treeName, type TaskControl } from '../rules/task-control.js';
import { filterConditions, type TaskFilter } from './task-filter.repository.js';
import { isTerminal, type TaskStatus } from '../rules/task-status.js';

/** A task's row as commands need it. */
export interface TaskHead {
  id: string;
  owner: string;
  status: TaskStatus;
  epoch: number;
  version: number;
  control: TaskControl;
  gateId: string | null;
}

/** Statements of operators, owners and retention. */
@Injectable()
export class TaskAdminRepository implements PodTasksSource {
  constructor(private readonly database: Database) {}

  async findHead(taskId: string): Promise<TaskHead | null> {
    const row = await this.database.maybeOne<
      Pick<TaskRow, 'id' | 'owner' | 'status' | 'epoch' | 'version' | 'gate_id' | 'control'> & { control: TaskControl }
    >(
      'tasks.findHead',
      sql`select id, owner, status, epoch, version, control, gate_id from tasks where id = ${taskId}`,
    );
    return (
      row && {
        id: row.id,
        owner: row.owner,
        status: row.status,
        epoch: row.epoch,
        version: row.version,
        control: row.control,
        gateId: row.gate_id,
      }
    );
  }

  /** What a replayed submission answers. */
  async findSubmitted(taskId: string): Promise<{ podName: string; queuedAt: Date } | null> {
    const row = await this.database.maybeOne<Pick<TaskRow, 'pod_name' | 'queued_at'>>(
      'tasks.findSubmitted',
      sql`select pod_name, queued_at from tasks where id = ${taskId}`,
    );
    return row && { podName: row.pod_name, queuedAt: row.queued_at };
  }

  /** How the lives have ended that these work trees are named after; trees of tasks that do not exist are left out. */
  async fates(trees: readonly string[]): Promise<Map<string, TaskFate>> {
    const named = trees.flatMap((tree) => {
      const id = taskOfTree(tree);
      return id === null ? [] : [{ tree, id }];
    });
    const rows = await this.database.query<Pick<TaskRow, 'id' | 'status' | 'control'> & { control: TaskControl }>(
      'tasks.fates',
      sql`select id, status, control from tasks where id = any(${named.map(({ id }) => id)}::uuid[])`,
    );
    const tasks = new Map(rows.map((row) => [row.id, row]));
    return new Map(
      named.flatMap(({ tree, id }) => {
        const task = tasks.get(id);
        return task === undefined ? [] : [[tree, fateOf(tree, task)] as const];
      }),
    );
  }

  /** The owners of unfinished tasks. Uses `tasks_owner_unfinished_idx`, one look for each owner. */
  async unfinishedOwners(): Promise<string[]> {
    const rows = await this.database.query<Pick<TaskRow, 'owner'>>(
      'tasks.unfinishedOwners',
      sql`with recursive owners as (
            (select owner from tasks where completed_at is null order by owner limit 1)
            union all
            select (select t.owner from tasks t where t.completed_at is null and t.owner > o.owner order by t.owner limit 1)
            from owners o where o.owner is not null
          )
          select owner from owners where owner is not null`,
    );
    return rows.map((row) => row.owner);
  }

  /** Unfinished tasks of `owner`, up to `limit` ids. */
  async findUnfinishedOf(owner: string, limit: number): Promise<string[]> {
    const rows = await this.database.query<Pick<TaskRow, 'id'>>(
      'tasks.findUnfinishedOf',
      sql`select id from tasks where owner = ${owner} and completed_at is null limit ${limit}`,
    );
    return rows.map((row) => row.id);
  }

  /** Unfinished tasks that the task or turn `ancestor` led to, up to `limit` ids. */
  async findUnfinishedBelow(ancestor: string, limit: number): Promise<string[]> {
    const rows = await this.database.query<Pick<TaskRow, 'id'>>(
      'tasks.findUnfinishedBelow',
      sql`select id from tasks
          where ancestors @> array[${ancestor}::uuid] and completed_at is null and ancestors <> '{}' limit ${limit}`,
    );
    return rows.map((row) => row.id);
  }

  /** The tasks and turns that unfinished tasks go back to. */
  async unfinishedAncestors(): Promise<string[]> {
    const rows = await this.database.query<{ id: TaskRow['ancestors'][number] }>(
      'tasks.unfinishedAncestors',
      sql`select distinct unnest(ancestors) as id from tasks where completed_at is null and ancestors <> '{}'`,
    );
    return rows.map((row) => row.id);
  }

  /** Those of `ids` that are cancelled tasks. */
  async cancelledAmong(ids: readonly string[]): Promise<string[]> {
    const rows = await this.database.query<Pick<TaskRow, 'id'>>(
      'tasks.cancelledAmong',
      sql`select id from tasks where id = any(${[...ids]}::uuid[]) and status = 'cancelled'`,
    );
    return rows.map((row) => row.id);
  }

  /** Deletes the task if it has ended; whether it did. */
  async deleteEndedTask(taskId: string): Promise<boolean> {
    const rows = await this.database.query(
      'tasks.deleteEnded',
      sql`delete from tasks where id = ${taskId} and completed_at is not null returning id`,
    );
    return rows.length > 0;
  }

  /** Deletes up to `limit` ended tasks that `filter` names; returns how many. */
  async deleteEnded(filter: TaskFilter, limit: number): Promise<number> {
    const rows = await this.database.query(
      'tasks.deleteEndedMany',
      sql`
        delete from tasks where id in (
          select t.id from tasks t where ${filterConditions(filter)} and t.completed_at is not null
          limit ${limit} for update skip locked)
        returning id`,
    );
    return rows.length;
  }

  // A comparison with the volatile `clock_timestamp()` cannot be an index condition: each pass would read the whole table.

  async deleteEndedBefore(days: number, limit: number): Promise<void> {
    await this.database.query(
      'tasks.deleteEndedBefore',
      sql`
        delete from tasks where id in (
          select id from tasks where completed_at < statement_timestamp() - ${days} * interval '1 day'
          order by completed_at limit ${limit} for update skip locked)`,
    );
  }

  async deleteEventsBefore(days: number, limit: number): Promise<void> {
    await this.database.query(
      'taskEvents.deleteBefore',
      sql`
        delete from task_events where (task_id, seq) in (
          select e.task_id, e.seq from task_events e join tasks t on t.id = e.task_id
          where e.at < statement_timestamp() - ${days} * interval '1 day' and t.completed_at is not null
          order by e.at limit ${limit})`,
    );
  }

  async hasUnfinishedOfPod(podId: string): Promise<boolean> {
    const row = await this.database.one<{ found: boolean }>(
      'tasks.hasUnfinishedOfPod',
      sql`select exists (select from tasks t where t.pod_id = ${podId} and t.completed_at is null) as found`,
    );
    return row.found;
  }

  async detachEndedOfPod(podId: string, limit: number): Promise<number> {
    const row = await this.database.one<{ detached: number }>(
      'tasks.detachEndedOfPod',
      sql`with batch as (
            update tasks set pod_id = null
            where id in (select t.id from tasks t where t.pod_id = ${podId} and t.completed_at is not null limit ${limit})
            returning id
          )
          select count(*)::integer as detached from batch`,
    );
    return row.detached;
  }

  /** Removes the dead letter; whether there was one. */
  async deleteDeadLetter(taskId: string): Promise<boolean> {
    const rows = await this.database.query(
      'deadLetters.delete',
      sql`delete from dead_letters where task_id = ${taskId} returning task_id`,
    );
    return rows.length > 0;
  }

  async isDeadLetter(taskId: string): Promise<boolean> {
    const rows = await this.database.query(
      'deadLetters.exists',
      sql`select task_id from dead_letters where task_id = ${taskId}`,
    );
    return rows.length > 0;
  }
}

/** A requeue gave up the lives before it. */
function fateOf(
  tree: string,
  { id, status, control }: { id: string; status: TaskStatus; control: TaskControl },
): TaskFate {
  if (tree !== treeName(id, control)) return 'given_up';
  if (status === 'complete') return 'complete';
  return isTerminal(status) ? 'given_up' : 'unfinished';
}
