import { AsyncLocalStorage } from 'node:async_hooks';
import { Logger } from '@nestjs/common';
import pg from 'pg';
import { DomainError } from '../errors/index.js';
import { isConnectionFault, isRetryable } from './pg-errors.js';
import type { Sql } from './sql.js';

export interface ConnectionOptions extends pg.ClientConfig {
  /** Connections of the pool; the reserved ones (heartbeat, locks, health) come on top. */
  poolSize?: number;
}

interface OpenTransaction {
  readonly client: pg.PoolClient;
  done: boolean;
}

/**
 * The only door to PostgreSQL. Every statement has a name, which feeds errors and metrics. While no database is attached
 * (it is still starting, or it went away) statements fail with `dependency_unavailable`; the process never exits for it.
 */
export class Database {
  private readonly logger = new Logger('Database');
  private readonly current = new AsyncLocalStorage<OpenTransaction>();
  private pool: pg.Pool | null = null;
  private options: ConnectionOptions | null = null;

  /** Starts to use the server at `options`. Called once, when the server answers and the schema is current. */
  attach(options: ConnectionOptions): void {
    const { poolSize = 10, ...connection } = options;
    this.options = { ...CONNECTION_DEFAULTS, ...connection };
    this.pool = new pg.Pool({ ...this.options, max: poolSize, allowExitOnIdle: false });
    // pg emits `error` on idle clients through the pool and on checked-out ones through the client itself; an
    // unhandled one of either kind would end the process.
    this.pool.on('error', (error) => this.logger.warn(`An idle connection was lost: ${error.message}`));
    this.pool.on('connect', (client) => client.on('error', () => undefined));
  }

  get attached(): boolean {
    return this.pool !== null;
  }

  /**
   * Runs one statement and returns its rows. Inside `transaction` it runs in that transaction.
   * @throws DomainError `dependency_unavailable` when the server cannot be reached; pg's own error otherwise.
   */
  async query<Row extends object>(name: string, query: Sql): Promise<Row[]> {
    const transaction = this.current.getStore();
    if (transaction?.done) throw new Error(`${name}: the transaction this statement belongs to has ended`);
    try {
      const { text, values } = query.toQuery();
      const result = await (transaction?.client ?? this.connected()).query<Row & pg.QueryResultRow>(text, values);
      return result.rows;
    } catch (error) {
      throw this.translated(name, error);
    }
  }

  /** `query` for statements that return at most one row. */
  async maybeOne<Row extends object>(name: string, query: Sql): Promise<Row | null> {
    return (await this.query<Row>(name, query))[0] ?? null;
  }

  /** `query` for statements that always return a row. */
  async one<Row extends object>(name: string, query: Sql): Promise<Row> {
    const row = await this.maybeOne<Row>(name, query);
    if (row === null) throw new Error(`${name}: expected a row`);
    return row;
  }

  /**
   * Runs `work` in one transaction: committed when it resolves, rolled back when it rejects. Statements that `work` starts
   * join it by themselves, nested calls too; a statement started after the end throws. Serialization faults and
   * deadlocks are tried again up to three times, so `work` must have no effect outside the database.
   */
  async transaction<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (this.current.getStore() !== undefined) return work();
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.transactionOnce(name, work);
      } catch (error) {
        if (attempt >= 3 || !isRetryable(error)) throw error;
      }
    }
  }

  /**
   * A connection outside the pool that the caller owns and ends: for session-level locks, LISTEN, heartbeats that must get
   * through when the pool is exhausted. `onLost` is called once when the server or the network drops it.
   */
  async reserve(name: string, onLost: (error: Error) => void = () => undefined): Promise<pg.Client> {
    if (this.options === null) throw unavailable();
    const client = new pg.Client({ ...this.options, application_name: `nova ${name}` });
    let lost = false;
    const lose = (error: Error): void => {
      if (!lost) onLost(error);
      lost = true;
    };
    client.on('error', lose);
    client.on('end', () => lose(new Error('the connection ended')));
    try {
      await client.connect();
    } catch (error) {
      throw this.translated(name, error);
    }
    return client;
  }

  /** Ends the pool after the statements under way. */
  async close(): Promise<void> {
    const pool = this.pool;
    this.pool = null;
    this.options = null;
    await pool?.end();
  }

  private async transactionOnce<T>(name: string, work: () => Promise<T>): Promise<T> {
    let client: pg.PoolClient;
    try {
      client = await this.connected().connect();
    } catch (error) {
      throw this.translated(name, error);
    }
    const open: OpenTransaction = { client, done: false };
    let broken: Error | undefined;
    try {
      await client.query('begin');
      const result = await this.current.run(open, work);
      open.done = true;
      await client.query('commit');
      return result;
    } catch (error) {
      open.done = true;
      await client.query('rollback').catch((failure: Error) => {
        broken = failure;
      });
      throw this.translated(name, error);
    } finally {
      client.release(broken);
    }
  }

  private connected(): pg.Pool {
    if (this.pool === null) throw unavailable();
    return this.pool;
  }

  private translated(name: string, error: unknown): unknown {
    if (!isConnectionFault(error)) return error;
    this.logger.warn(`${name}: the database did not answer (${error instanceof Error ? error.message : 'unknown'})`);
    return unavailable(error);
  }
}

function unavailable(cause?: unknown): DomainError {
  return new DomainError('dependency_unavailable', 'The database is not available; try again shortly.', {
    cause,
    retryAfterSeconds: 2,
  });
}

const CONNECTION_DEFAULTS = {
  application_name: 'nova',
  keepAlive: true,
  connectionTimeoutMillis: 5_000,
  query_timeout: 30_000,
  statement_timeout: 25_000,
  lock_timeout: 10_000,
  idle_in_transaction_session_timeout: 30_000,
} satisfies ConnectionOptions;
