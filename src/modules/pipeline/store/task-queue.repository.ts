import { Injectable } from '@nestjs/common';
import {
  Database,
  json,
  preparedSql,
  shareOfKey,
  sql,
  violates,
  type Sql,
  type TaskRow,
} from '../../../platform/database/index.js';
import { DomainError } from '../../../platform/errors/index.js';
import type { PodSnapshot } from '../../pods/index.js';
import type { TaskControl } from '../rules/task-control.js';
import type { TaskStatus } from '../rules/task-status.js';

export interface NewTask {
  id: string;
  owner: string;
  pod: PodSnapshot;
  userInput: string;
  metadata: Record<string, unknown>;
  maxRetries: number;
  priority: number;
  nextStatus: TaskStatus;
  control: TaskControl;
  /** The tasks and turns whose tools led to it, outermost first; absent is none. */
  ancestors?: readonly string[];
}

/** Unfinished tasks of an owner, and the bytes of their requests. */
export interface HeldTasks {
  tasks: number;
  bytes: number;
}

export interface ClaimedTask {
  id: string;
  owner: string;
  podName: string;
  status: TaskStatus;
  epoch: number;
  version: number;
  /** Crashes in the stage that it is in. */
  stageCrashes: number;
}

/** The kind of task that a claim takes: any due task but suspects, of those the ones that no crash met in their stage, or suspects. */
export type ClaimKind = 'any' | 'fresh' | 'suspect';

/** A leased task as the reaper sees it. */
export interface LeasedTask {
  id: string;
  status: TaskStatus;
  epoch: number;
  version: number;
  stageCrashes: number;
  control: TaskControl;
  leaseOwner: number;
  lastHeartbeatAt: string | null;
}

type SelectedLease = Pick<TaskRow, 'id' | 'status' | 'epoch' | 'version' | 'stage_crashes' | 'control'> & {
  control: TaskControl;
  lease_owner: NonNullable<TaskRow['lease_owner']>;
  last_heartbeat_at: string | null;
};

type SelectedClaim = Pick<TaskRow, 'id' | 'owner' | 'pod_name' | 'status' | 'epoch' | 'version' | 'stage_crashes'>;

/** The queue's statements: submit, claim, promote, and what the reaper looks for. */
@Injectable()
export class TaskQueueRepository {
  constructor(private readonly database: Database) {}

  /**
   * Stores a queued task, due now, with its first event. Its virtual start follows the caller's last due task of the
   * same priority, or stands level with the head of the queue: a caller's ten thousand do not starve another's one.
   * Two submissions of one caller at the same moment may share a virtual start, which costs nobody anything. A delete of the
   * pod that came first is waited for.
   * @throws DomainError not_found when the pod is gone.
   */
  async insert(task: NewTask): Promise<Date> {
    const row = await this.inserted<{ queued_at: Date }>(task, sql``, sql`vstart`, sql`queued_at from t`);
    return row.queued_at;
  }

  /**
   * `insert` where the task's owner holds no more than `most` with it and nobody else has the turn of `key`; else the time is
   * null. Says what the owner held before. Reads `tasks_owner_unfinished_idx` for that. Of statements at the same moment none
   * sees the others' tasks, but in the turn of `key`.
   */
  async insertWithin(task: NewTask, most: HeldTasks, key: string): Promise<HeldTasks & { queuedAt: Date | null }> {
    const { queued_at: queuedAt, ...held } = await this.inserted<HeldTasks & { queued_at: Date | null }>(
      task,
      sql`held as (
          select count(*)::integer as tasks, coalesce(sum(request_bytes), 0)::float8 as bytes
          from tasks where owner = ${task.owner} and completed_at is null
        ),`,
      // Whoever is refused here shares nothing: it waits for the turn of the key next.
      sql`vstart, held where case
            when held.tasks < ${most.tasks}::integer and held.bytes + ${requestBytes(task)}::float8 <= ${most.bytes}::float8
            then ${shareOfKey(key)} else false end`,
      sql`(select queued_at from t) as queued_at, tasks, bytes from held`,
    );
    return { queuedAt, ...held };
  }

  private async inserted<Row extends object>(task: NewTask, before: Sql, from: Sql, result: Sql): Promise<Row> {
    const stored = this.database.one<Row>(
      'tasks.insert',
      preparedSql`
        with ${before} vstart as (
          select greatest(
            (select vstart + 1 from tasks where ready and owner = ${task.owner} and priority = ${task.priority}
               order by vstart desc limit 1),
            (select vstart from tasks where ready and not suspect and priority = ${task.priority}
               order by priority desc, vstart, id limit 1),
            0) as value
        ), t as (
          insert into tasks (
            id, owner, pod_id, pod_name, status, next_status, ready, priority, vstart, max_retries, control, event_seq, ancestors, request_bytes)
          select ${task.id}, ${task.owner}, ${task.pod.id}, ${task.pod.name}, 'queued', ${task.nextStatus}, true,
            ${task.priority}, vstart.value, ${task.maxRetries}, ${json(task.control)}, 1,
            ${[...(task.ancestors ?? [])]}::uuid[], ${requestBytes(task)}
          from ${from}
          returning id, queued_at
        ), r as (
          insert into task_requests (task_id, user_input, metadata, pod)
          select t.id, ${task.userInput}, ${json(task.metadata)}, ${json(task.pod)} from t
        ), e as (
          insert into task_events (task_id, seq, type, data)
          select t.id, 1, 'task.queued', ${json({ pod_name: task.pod.name, priority: task.priority, from: null, to: 'queued' })}::jsonb from t
        )
        select ${result}`,
    );
    try {
      return await stored;
    } catch (error) {
      if (!violates(error, 'tasks_pod_id_fkey')) throw error;
      throw DomainError.notFound('pod', task.pod.id);
    }
  }

  /**
   * Gives up to `limit` due tasks of a kind to `worker`, in order of priority and virtual start. Fewer than `limit` means that
   * nothing else of the kind was due. Uses one range of `tasks_ready_idx` (`tasks_fresh_idx`, `tasks_suspect_idx`) and no sort,
   * at any depth of the queue.
   */
  async claim(worker: number, limit: number, staleSeconds: number, kind: ClaimKind): Promise<ClaimedTask[]> {
    const rows = await this.database.query<SelectedClaim>(
      'tasks.claim',
      claimStatement(worker, limit, staleSeconds, kind),
    );
    return rows.map(toClaimed);
  }

  /** Whether a suspect is due that nobody has claimed. */
  async suspectDue(): Promise<boolean> {
    // `order by` makes the planner use `tasks_suspect_idx`; without statistics it scans the table for `limit 1` alone.
    const rows = await this.database.query(
      'tasks.suspectDue',
      sql`select id from tasks where ready and suspect order by priority desc, vstart, id limit 1`,
    );
    return rows.length > 0;
  }

  /** Makes tasks ready whose time has come; returns their ids. Any replica, any number at once. */
  async promote(limit: number): Promise<string[]> {
    const rows = await this.database.query<Pick<TaskRow, 'id'>>(
      'tasks.promote',
      sql`
        update tasks set ready = true, wait_reason = null, wait_provider = null
        where id in (
          select id from tasks where status = 'queued' and not ready and run_at <= statement_timestamp()
          order by run_at limit ${limit} for update skip locked)
        returning id`,
    );
    return rows.map((row) => row.id);
  }

  /** Leases past their end, or of workers that hang past their own deadline. */
  async findExpired(limit: number): Promise<(LeasedTask & { expired: 'lease' | 'deadline' })[]> {
    const rows = await this.database.query<SelectedLease & { expired: 'lease' | 'deadline' }>(
      'tasks.findExpired',
      sql`
        select ${LEASED_COLUMNS}, case when lease_until < clock_timestamp() then 'lease' else 'deadline' end as expired
        from tasks
        where lease_owner is not null and (lease_until < clock_timestamp() or deadline_at < clock_timestamp())
        limit ${limit}`,
    );
    return rows.map((row) => ({ ...toLeased(row), expired: row.expired }));
  }

  /** The tasks leased to `worker`. */
  async findLeasedTo(worker: number, limit: number): Promise<LeasedTask[]> {
    const rows = await this.database.query<SelectedLease>(
      'tasks.findLeasedTo',
      sql`select ${LEASED_COLUMNS} from tasks where lease_owner = ${worker} limit ${limit}`,
    );
    return rows.map(toLeased);
  }

  /** The workers that hold leases. */
  async leaseOwners(): Promise<number[]> {
    const rows = await this.database.query<Pick<SelectedLease, 'lease_owner'>>(
      'tasks.leaseOwners',
      sql`select distinct lease_owner from tasks where lease_owner is not null`,
    );
    return rows.map((row) => row.lease_owner);
  }
}

// pg's Date keeps milliseconds; the guard compares microseconds, so the beat travels as text.
const LEASED_COLUMNS = sql`id, status, epoch, version, stage_crashes, control, lease_owner, last_heartbeat_at::text`;

const CLAIMABLE: Record<ClaimKind, Sql> = {
  any: sql`ready and not suspect`,
  fresh: sql`ready and not suspect and stage_crashes = 0`,
  suspect: sql`ready and suspect`,
};

/** The claim, for the worker and for the plan test. */
export const claimStatement = (worker: number, limit: number, staleSeconds: number, kind: ClaimKind): Sql => sql`
  with c as materialized (
    select id from tasks where ${CLAIMABLE[kind]} order by priority desc, vstart, id limit ${limit} for update skip locked
  ), u as (
    update tasks t set
      status = t.next_status, next_status = null, ready = false, epoch = t.epoch + 1, version = t.version + 1,
      attempt = t.attempt + 1, lease_owner = ${worker}, lease_until = clock_timestamp() + ${staleSeconds} * interval '1 second',
      -- Until a stage sets its own: what comes before the first one (a work tree, publishing) may hang as well.
      deadline_at = clock_timestamp() + ${4 * staleSeconds} * interval '1 second',
      last_heartbeat_at = clock_timestamp(), started_at = coalesce(t.started_at, clock_timestamp()),
      wait_reason = null, wait_provider = null, event_seq = t.event_seq + 1, updated_at = clock_timestamp()
    from c where t.id = c.id
    returning t.id, t.owner, t.pod_name, t.status, t.epoch, t.version, t.attempt, t.event_seq, t.stage_crashes
  ), e as (
    insert into task_events (task_id, seq, type, data)
    select id, event_seq, 'task.claimed',
      jsonb_build_object('attempt', attempt, 'epoch', epoch, 'from', 'queued', 'to', status) from u
  )
  select id, owner, pod_name, status, epoch, version, stage_crashes from u`;

/** About what the request of an unfinished task takes in the database. */
export function requestBytes({ userInput, metadata }: Pick<NewTask, 'userInput' | 'metadata'>): number {
  return Buffer.byteLength(userInput) + Buffer.byteLength(JSON.stringify(metadata));
}

function toClaimed(row: SelectedClaim): ClaimedTask {
  return {
    id: row.id,
    owner: row.owner,
    podName: row.pod_name,
    status: row.status,
    epoch: row.epoch,
    version: row.version,
    stageCrashes: row.stage_crashes,
  };
}

function toLeased(row: SelectedLease): LeasedTask {
  return {
    id: row.id,
    status: row.status,
    epoch: row.epoch,
    version: row.version,
    stageCrashes: row.stage_crashes,
    control: row.control,
    leaseOwner: row.lease_owner,
    lastHeartbeatAt: row.last_heartbeat_at,
  };
}
