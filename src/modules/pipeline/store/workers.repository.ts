import { Injectable } from '@nestjs/common';
import { Database, sql, type TaskRow, type WorkerRow } from '../../../platform/database/index.js';

/** First key of every worker's advisory lock; the second one is the worker's id. */
export const WORKER_LOCK_CLASS = 1_853_190_753;

/** The advisory lock of the one worker that drains for a suspect; the second key stands for nothing. */
const DRAIN_LOCK_CLASS = 1_853_190_754;

/** A connection of its own, outside the pool. */
export type ReservedConnection = Awaited<ReturnType<Database['reserve']>>;

/** A lease that a beat renews. */
export interface HeldLease {
  taskId: string;
  epoch: number;
}

/** Worker processes: their rows, their locks and their heartbeats. */
@Injectable()
export class WorkersRepository {
  constructor(private readonly database: Database) {}

  /** Registers a worker process; returns its id. */
  async register(name: string): Promise<number> {
    const row = await this.database.one<Pick<WorkerRow, 'id'>>(
      'workers.register',
      sql`insert into workers (name) values (${name}) returning id`,
    );
    return row.id;
  }

  /**
   * A reserved connection that holds the worker's lock for as long as it lives. Whoever holds the lock is an earlier
   * connection of this worker that the server has not missed yet, for hours when the network swallowed its end.
   */
  async connect(worker: number, onLost: (error: Error) => void): Promise<ReservedConnection> {
    const connection = await this.database.reserve('worker', onLost);
    try {
      await connection.query(
        `select pg_terminate_backend(pid) from pg_locks
         where locktype = 'advisory' and classid = $1 and objid = $2 and objsubid = 2 and granted
           and database = (select oid from pg_database where datname = current_database())`,
        [WORKER_LOCK_CLASS, worker],
      );
      await connection.query('select pg_advisory_lock($1, $2)', [WORKER_LOCK_CLASS, worker]);
      return connection;
    } catch (error) {
      void connection.end().catch(() => undefined);
      throw error;
    }
  }

  /**
   * Renews every lease of `worker` in one statement, on its own connection so that an exhausted pool cannot stop it.
   * Returns the ids that are still held; the others are lost. A flush of transitions may lock the same rows in another order: the
   * deadlock that PostgreSQL then breaks is an error here, and the next beat comes well before the lease ends.
   */
  async beat(
    connection: ReservedConnection,
    worker: number,
    leases: readonly HeldLease[],
    staleSeconds: number,
  ): Promise<Set<string>> {
    const { text, values } = sql`
      with seen as (update workers set seen_at = clock_timestamp() where id = ${worker})
      update tasks t set
        last_heartbeat_at = clock_timestamp(), lease_until = clock_timestamp() + ${staleSeconds} * interval '1 second'
      from unnest(${leases.map((lease) => lease.taskId)}::uuid[], ${leases.map((lease) => lease.epoch)}::bigint[]) as l(id, epoch)
      where t.id = l.id and t.epoch = l.epoch and t.lease_owner = ${worker}
      returning t.id`.toQuery();
    const result = await connection.query<Pick<TaskRow, 'id'>>(text, values);
    return new Set(result.rows.map((row) => row.id));
  }

  /** Takes the right to drain for a suspect, which one worker has at a time, for as long as `connection` lives; whether it has it. */
  async takeDrain(connection: ReservedConnection): Promise<boolean> {
    // A session may take its own lock twice and would then have to give it back twice.
    const { rows } = await connection.query<{ taken: boolean }>(
      `select exists (
         select from pg_locks where locktype = 'advisory' and classid::bigint = $1::integer and objid = 0 and objsubid = 2
           and granted and pid = pg_backend_pid()) or pg_try_advisory_lock($1::integer, 0) as taken`,
      [DRAIN_LOCK_CLASS],
    );
    return rows[0]?.taken === true;
  }

  /** Gives the right to drain back. */
  async giveDrain(connection: ReservedConnection): Promise<void> {
    await connection.query('select pg_advisory_unlock($1::integer, 0)', [DRAIN_LOCK_CLASS]);
  }

  /** The leases of `worker` that no longer hold; for the moments when cancels cannot be heard. */
  async findLost(worker: number, leases: readonly HeldLease[]): Promise<string[]> {
    const rows = await this.database.query<{ id: string }>(
      'workers.findLost',
      sql`
        select l.id from unnest(${leases.map((lease) => lease.taskId)}::uuid[], ${leases.map((lease) => lease.epoch)}::bigint[]) as l(id, epoch)
        left join tasks t on t.id = l.id and t.epoch = l.epoch and t.lease_owner = ${worker}
        where t.id is null`,
    );
    return rows.map((row) => row.id);
  }

  /**
   * Workers among `candidates` whose lock is free, and none while the server is younger than 30 s: its restart frees every
   * lock, and living workers need time to take theirs again.
   */
  async findUnlocked(candidates: readonly number[]): Promise<number[]> {
    if (candidates.length === 0) return [];
    const rows = await this.database.query<{ id: number }>(
      'workers.findUnlocked',
      sql`
        select c.id from unnest(${[...candidates]}::integer[]) as c(id)
        where pg_postmaster_start_time() < clock_timestamp() - interval '30 seconds' and not exists (
          select from pg_locks l
          where l.locktype = 'advisory' and l.classid = ${WORKER_LOCK_CLASS} and l.objid::bigint = c.id and l.objsubid = 2
            and l.database = (select oid from pg_database where datname = current_database()))`,
    );
    return rows.map((row) => row.id);
  }

  /** Forgets workers that have been silent for a day and hold nothing. */
  async forgetDead(): Promise<void> {
    await this.database.query(
      'workers.forgetDead',
      sql`
        delete from workers w where seen_at < clock_timestamp() - interval '1 day'
          and not exists (select from tasks t where t.lease_owner = w.id)`,
    );
  }
}
