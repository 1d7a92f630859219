import { Injectable, Logger } from '@nestjs/common';
import pg from 'pg';
import { AppConfig } from '../../config/index.js';
import { Clock } from '../clock/index.js';
import { connectClient, Database, type ConnectionOptions } from './database.js';
import { EmbeddedPostgresError } from '../embedded-postgres/embedded-postgres-error.js';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../embedded-postgres/embedded-postgres.js';
import { migrate, MigrationError } from './migrator.js';
import { outageReason, UNKNOWN_OUTAGE } from './pg-errors.js';
import { SingleProcessError, takeSingleProcessLock } from './single-process-lock.js';

/** Whether the database is usable; `reason` is a sentence without secrets, null while `ready`. */
export interface DatabaseState {
  readonly ready: boolean;
  readonly reason: string | null;
}

/** A condition of the server that the service cannot work with; the message is a sentence. */
class UnusableServerError extends Error {}

const OLDEST_VERSION = 15;
const WATCH_MS = 2_000;
const RETRY_MS = { first: 100, most: 2_000, mostAfterMigration: 30_000 };

/**
 * Brings the database up and keeps it up: the embedded server when there is no `DATABASE_URL`, the lock of a process without
 * Redis, the schema, then `Database`. Whatever is missing is waited for with a named reason; the process lives on.
 */
@Injectable()
export class DatabaseBootstrap {
  /** Resolves if another process took this one's place while the database was away; this process has to end then. */
  readonly displaced: Promise<SingleProcessError>;

  private readonly logger = new Logger('DatabaseBootstrap');
  private readonly stopping = new AbortController();
  /** Cuts the pause between two looks short. */
  private alarm = new AbortController();
  private displace: (error: SingleProcessError) => void;
  private reason: string | null = 'the database is starting';
  private server: EmbeddedPostgres | null = null;
  private guard: pg.Client | null = null;
  private attachedTo = '';
  /** What goes on in the background: the start, then the supervision. */
  private work: Promise<void> = Promise.resolve();

  constructor(
    private readonly config: AppConfig,
    private readonly database: Database,
    private readonly clock: Clock,
  ) {
    this.displaced = new Promise((resolve) => {
      this.displace = resolve;
    });
  }

  /**
   * Resolves when the database can be used, however long that takes; from then on it is watched until `stop`.
   * @throws SingleProcessError when another process without Redis uses it; the reason of `signal` when that aborts first.
   */
  async start(signal: AbortSignal): Promise<void> {
    this.work = this.untilUp(AbortSignal.any([signal, this.stopping.signal]));
    await this.work;
    this.work = this.supervise(this.stopping.signal);
  }

  state(): DatabaseState {
    return { ready: this.reason === null, reason: this.reason };
  }

  /** Lets the database go: the pool after its statements, the lock, then an own embedded server. */
  async stop(): Promise<void> {
    this.reason = 'the service is stopping';
    this.stopping.abort(new Error('the service is stopping'));
    this.alarm.abort();
    await this.work.catch(() => undefined);
    await this.database.close();
    await this.releaseGuard();
    await this.server?.stop();
    this.server = null;
  }

  private async untilUp(signal: AbortSignal): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      signal.throwIfAborted();
      try {
        await this.bringUp(signal);
        this.reason = null;
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof SingleProcessError) throw error;
        // A shared server ends with its owner; whether it did shows when it is asked for again.
        if (this.server?.own === false) this.server = null;
        this.report(this.describe(error));
        const most = error instanceof MigrationError ? RETRY_MS.mostAfterMigration : RETRY_MS.most;
        const backoff = Math.min(most, RETRY_MS.first * 2 ** Math.min(attempt, 20));
        await this.clock.sleep(backoff * (0.5 + Math.random() / 2), signal);
      }
    }
  }

  /** One attempt. Every step leaves alone what an earlier attempt did and still holds. */
  private async bringUp(signal: AbortSignal): Promise<void> {
    const connection = await this.connection(signal);
    await this.takeGuard(connection, signal);
    await migrate(connection, { signal });
    const target = JSON.stringify(connection);
    if (this.attachedTo !== target || !this.database.attached) this.database.attach(connection);
    this.attachedTo = target;
  }

  private async connection(signal: AbortSignal): Promise<ConnectionOptions> {
    if (this.config.database.url !== null) return { connectionString: this.config.database.url };
    this.server ??= await this.startServer(signal);
    return this.server.connection;
  }

  private async startServer(signal: AbortSignal): Promise<EmbeddedPostgres> {
    const server = await startEmbeddedPostgres({ dataDir: this.config.dataDir, signal });
    void server.ended.then(() => {
      if (this.server === server) this.server = null;
    });
    return server;
  }

  /**
   * Checks the server's version and, where this process keeps its shared state in memory, that it is the only one. The
   * connection is kept: its end is the first sign of an outage, and its session holds the lock.
   */
  private async takeGuard(connection: ConnectionOptions, signal: AbortSignal): Promise<void> {
    if (this.guard !== null) return;
    const client = await connectClient({ ...connection, application_name: 'nova guard' }, () => {
      if (this.guard === client) this.guard = null;
      this.alarm.abort();
    });
    try {
      const { rows } = await client.query<{ server_version: string }>('show server_version');
      const version = rows[0]?.server_version ?? '';
      if (!(Number.parseInt(version, 10) >= OLDEST_VERSION)) {
        throw new UnusableServerError(`PostgreSQL ${OLDEST_VERSION} or newer is needed, this server is ${version}`);
      }
      if (this.config.redis.url === null) await takeSingleProcessLock(client, signal);
      this.guard = client;
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
  }

  private async releaseGuard(): Promise<void> {
    const client = this.guard;
    this.guard = null;
    await client?.end().catch(() => undefined);
  }

  /**
   * Looks after the database: at once when the guard's connection ends, else every two seconds. An outage that the guard's session
   * outlives (no room, read-only) is only told; else everything is brought up again.
   */
  private async supervise(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.guard !== null) await this.clock.sleep(WATCH_MS, this.alarm.signal);
      if (signal.aborted) return;
      this.alarm = new AbortController();
      const outage = await this.database.ping();
      if (outage === null && this.guard !== null) {
        if (this.reason !== null) this.logger.log('The database is back.');
        this.reason = null;
        continue;
      }
      this.report(outage ?? 'the connection to the database was lost');
      if (await this.guardAnswers()) continue;
      try {
        await this.untilUp(signal);
        this.logger.log('The database is back.');
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof SingleProcessError)) throw error;
        this.report(error.message);
        this.displace(error);
        return;
      }
    }
  }

  private async guardAnswers(): Promise<boolean> {
    const client = this.guard;
    if (client === null) return false;
    try {
      await client.query({ text: 'select 1', query_timeout: 5_000 } as pg.QueryConfig);
      return this.guard === client;
    } catch {
      await this.releaseGuard();
      return false;
    }
  }

  private report(reason: string): void {
    if (this.reason !== reason) this.logger.warn(`The database is not available: ${reason}.`);
    this.reason = reason;
  }

  private describe(error: unknown): string {
    // These carry sentences of our own; what pg and the system say can hold more than readers of readiness may see.
    const told = [MigrationError, UnusableServerError, EmbeddedPostgresError].some((kind) => error instanceof kind);
    if (told && error instanceof Error) return error.message;
    const reason = outageReason(error);
    if (reason === UNKNOWN_OUTAGE && error instanceof Error) this.logger.error(error.stack);
    return reason;
  }
}
