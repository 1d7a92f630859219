import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import pg from 'pg';
import { DomainError } from '../errors/index.js';
import { withoutLogContext } from '../logging/index.js';
import { connectClient, splitOptions, type SessionOptions } from './connection.js';
import { isConnectionFault, isLostConnection, isRetryable, outageReason } from './pg-errors.js';
import { settleSession } from './session-settings.js';
import type { Sql } from './sql.js';

export type ConnectionOptions = SessionOptions & {
  /** Connections of the pool; the reserved ones (heartbeat, locks, health) come on top. */
  poolSize?: number;
};

interface OpenTransaction {
  readonly client: pg.PoolClient;
  done: boolean;
  /** Settles when the statements started so far have: one connection runs one at a time. */
  statements: Promise<unknown>;
}

/** How often a statement or a transaction is tried when others keep getting into its way. */
const ATTEMPTS = 3;
/** Longest wait for statements under way when the pool is closed. */
const CLOSE_MS = 5_000;
const PING_MS = 1_500;

/**
 * The only door to PostgreSQL. Every statement has a name, which logs and errors show. While no database is attached
 * (it is still starting, or it went away) statements fail with `dependency_unavailable`; the process never exits for it.
 */
export class Database {
  private readonly logger = new Logger('Database');
  private readonly current = new AsyncLocalStorage<OpenTransaction>();
  private pool: pg.Pool | null = null;
  private options: SessionOptions | null = null;
  private health: pg.Client | null = null;
  private pinging: Promise<string | null> | null = null;

  /**
   * Starts to use the server at `options`, once it answers and its schema is current. A server attached before is let go
   * after the statements under way.
   */
  attach(options: ConnectionOptions): void {
    void this.close();
    const { poolSize = 10, ...connection } = options;
    this.options = connection;
    const { driver, settings } = splitOptions(connection);
    this.pool = new pg.Pool({
      ...driver,
      max: poolSize,
      allowExitOnIdle: false,
      // oxlint-disable-next-line typescript/no-misused-promises -- the pool waits for it, whatever its type says
      onConnect: (client) => settleSession(client, settings),
    });
    // pg emits `error` on idle clients through the pool and on checked-out ones through the client itself; an
    // unhandled one of either kind would end the process.
    // A connection's events come in the context that opened it, and an idle one belongs to nobody.
    this.pool.on('error', (error) =>
      withoutLogContext(() => this.logger.warn(`An idle connection was lost: ${outageReason(error)}`)),
    );
    this.pool.on('connect', (client) => client.on('error', () => undefined));
  }

  get attached(): boolean {
    return this.pool !== null;
  }

  /**
   * Runs one statement and returns its rows. Inside `transaction` it runs in that transaction; outside it is a transaction
   * of its own, tried again when a deadlock or serialization fault undid it.
   * @throws DomainError `dependency_unavailable` when the server cannot be reached; pg's own error otherwise.
   */
  async query<Row extends object>(name: string, query: Sql): Promise<Row[]> {
    const transaction = this.current.getStore();
    if (transaction !== undefined) return this.queryIn<Row>(name, transaction, query);
    return this.retried(name, () => this.withClient(name, (client) => this.run<Row>(name, client, query)));
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
   * deadlocks are tried again, three times in all, so `work` must have no effect outside the database. A commit whose
   * answer is lost rejects although it may have happened.
   */
  async transaction<T>(name: string, work: () => Promise<T>): Promise<T> {
    const outer = this.current.getStore();
    if (outer !== undefined) {
      refuseEnded(name, outer);
      return work();
    }
    return this.retried(name, () => this.withClient(name, (client) => this.transactionOn(name, client, work)));
  }

  /**
   * A connection outside the pool that the caller owns and ends: for session-level locks, LISTEN, heartbeats that must get
   * through when the pool is exhausted. `onLost` is called once when the server or the network drops it, and not when
   * the owner ends it.
   * @throws DomainError `dependency_unavailable`
   */
  async reserve(name: string, onLost: (error: Error) => void = () => undefined): Promise<pg.Client> {
    if (this.options === null) throw unavailable();
    try {
      return await connectClient({ ...this.options, application_name: `nova ${name}` }, onLost);
    } catch (error) {
      throw this.translated(name, error);
    }
  }

  /**
   * Whether the server answers and takes writes, asked on a connection of its own within a few seconds: null when it does,
   * else why not, as a sentence without secrets. Never rejects; calls at the same time share one question.
   */
  ping(): Promise<string | null> {
    this.pinging ??= this.pingOnce().finally(() => {
      this.pinging = null;
    });
    return this.pinging;
  }

  /** Ends the connections after the statements under way, which get five seconds. */
  async close(): Promise<void> {
    const { pool, health } = this;
    this.pool = null;
    this.options = null;
    this.health = null;
    const cut = new AbortController();
    const ended = Promise.allSettled([pool?.end(), health?.end()]);
    await Promise.race([ended, delay(CLOSE_MS, undefined, { signal: cut.signal, ref: false }).catch(() => undefined)]);
    cut.abort();
  }

  private async pingOnce(): Promise<string | null> {
    if (this.options === null) return 'no database is attached';
    try {
      // A connection kept from an earlier ping may have died with an earlier server; only a new one proves an outage.
      if (this.health !== null) return await this.ask(this.health);
    } catch {
      this.dropHealth();
    }
    try {
      const options = { ...this.options, connectionTimeoutMillis: PING_MS, query_timeout: PING_MS };
      this.health = await connectClient({ ...options, application_name: 'nova health' }, () => this.dropHealth());
      return await this.ask(this.health);
    } catch (error) {
      this.dropHealth();
      return outageReason(error);
    }
  }

  private async ask(client: pg.Client): Promise<string | null> {
    const { rows } = await client.query<{ read_only: boolean }>(
      `select current_setting('transaction_read_only') = 'on' as read_only`,
    );
    return rows[0]?.read_only === false ? null : 'the database is read-only';
  }

  private dropHealth(): void {
    const client = this.health;
    this.health = null;
    void client?.end().catch(() => undefined);
  }

  private async queryIn<Row extends object>(name: string, transaction: OpenTransaction, query: Sql): Promise<Row[]> {
    const rows = transaction.statements.then(() => {
      refuseEnded(name, transaction);
      return this.run<Row>(name, transaction.client, query);
    });
    transaction.statements = rows.catch(() => undefined);
    return rows;
  }

  private async run<Row extends object>(name: string, client: pg.PoolClient, query: Sql): Promise<Row[]> {
    try {
      return (await client.query<Row & pg.QueryResultRow>(query.toQuery())).rows;
    } catch (error) {
      throw this.translated(name, error);
    }
  }

  private async transactionOn<T>(name: string, client: pg.PoolClient, work: () => Promise<T>): Promise<T> {
    const open: OpenTransaction = { client, done: false, statements: Promise.resolve() };
    try {
      await client.query('begin');
      const result = await this.current.run(open, work);
      open.done = true;
      await open.statements;
      // PostgreSQL answers a commit of a transaction in which a statement failed with ROLLBACK, not with an error.
      const { command } = await client.query('commit');
      if (command !== 'COMMIT') throw new Error(`${name}: a statement failed, so nothing was committed`);
      return result;
    } catch (error) {
      open.done = true;
      await open.statements;
      if (!lostWith(error)) await client.query('rollback').catch(() => undefined);
      throw this.translated(name, error);
    }
  }

  /** Lends a connection of the pool; one that may be broken or still busy is thrown away, not given back. */
  private async withClient<T>(name: string, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    let client: pg.PoolClient;
    try {
      if (this.pool === null) throw unavailable();
      client = await this.pool.connect();
    } catch (error) {
      throw this.translated(name, error);
    }
    let broken = false;
    try {
      return await work(client);
    } catch (error) {
      broken = lostWith(error);
      throw error;
    } finally {
      client.release(broken);
    }
  }

  private async retried<T>(name: string, work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        if (!isRetryable(error)) throw error;
        if (attempt < ATTEMPTS) {
          // At once, it would meet the one it was undone for again.
          await delay(attempt * (10 + Math.random() * 40));
          continue;
        }
        this.logger.warn(`${name}: undone ${ATTEMPTS} times by concurrent transactions`);
        throw unavailable(error);
      }
    }
  }

  private translated(name: string, error: unknown): unknown {
    if (!isConnectionFault(error)) return error;
    this.logger.warn(`${name}: ${outageReason(error)}`);
    return unavailable(error);
  }
}

function refuseEnded(name: string, transaction: OpenTransaction): void {
  if (transaction.done) throw new Error(`${name}: the transaction this statement belongs to has ended`);
}

/** Whether the connection that `error` came from can still be used. */
function lostWith(error: unknown): boolean {
  return isLostConnection(error instanceof DomainError ? error.cause : error);
}

function unavailable(cause?: unknown): DomainError {
  return new DomainError('dependency_unavailable', 'The database is not available; try again shortly.', {
    cause,
    retryAfterSeconds: 2,
  });
}
