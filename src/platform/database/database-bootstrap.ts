import { Injectable, Logger } from '@nestjs/common';
import pg from 'pg';
import { AppConfig } from '../../config/index.js';
import { Clock } from '../clock/index.js';
import { StartStep } from '../startup/index.js';
import { connectClient } from './connection.js';
import { Database, type ConnectionOptions } from './database.js';
import { EmbeddedPostgresError } from '../embedded-postgres/embedded-postgres-error.js';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../embedded-postgres/embedded-postgres.js';
import { migrate, MigrationError } from './migrator.js';
import { outageReason, UNKNOWN_OUTAGE } from './pg-errors.js';
import { backendPid, checkServer, checkSessions, NO_SESSIONS, UnusableServerError } from './server-check.js';
import { SingleProcessError, takeSingleProcessLock } from './single-process-lock.js';

/** Whether the database is usable; `reason` is a sentence without secrets, null while `ready`. */
export interface DatabaseState {
  readonly ready: boolean;
  readonly reason: string | null;
}

/** The session that is kept beside the pool. */
interface Guard {
  readonly client: pg.Client;
  /** Where the service's tables are. */
  readonly schema: string;
  /** The server process that it had from the start. */
  readonly pid: number;
}

/** Clocks that are further apart are told. */
const MOST_APART_MS = 10_000;
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
  private guard: Guard | null = null;
  private attachedTo = '';
  private clockWarning: string | null = null;
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
  @StartStep('database')
  async start(signal: AbortSignal): Promise<void> {
    this.work = this.untilUp(AbortSignal.any([signal, this.stopping.signal]));
    await this.work;
    this.work = this.supervise(this.stopping.signal);
  }

  state(): DatabaseState {
    return { ready: this.reason === null, reason: this.reason };
  }

  /** A sentence about clocks that are too far apart; null while they are not. */
  clocksApart(): string | null {
    return this.clockWarning;
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
    const { schema } = await this.takeGuard(connection, signal);
    const settled = { ...connection, schema };
    await migrate(settled, { signal });
    const target = JSON.stringify(settled);
    if (this.attachedTo !== target || !this.database.attached) this.database.attach(settled);
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
   * Checks the server, and, where this process keeps its shared state in memory, that it is the only one. The connection
   * is kept: its end is the first sign of an outage, and its session holds the lock.
   */
  private async takeGuard(connection: ConnectionOptions, signal: AbortSignal): Promise<Guard> {
    if (this.guard !== null) return this.guard;
    const client = await connectClient({ ...connection, application_name: 'nova guard' }, () => {
      if (this.guard?.client === client) this.guard = null;
      this.alarm.abort();
    });
    try {
      const schema = await checkServer(client);
      await checkSessions(client, () => connectClient({ ...connection, application_name: 'nova probe' }));
      if (this.config.redis.url === null) await takeSingleProcessLock(client, this.clock, signal);
      this.guard = { client, schema, pid: await backendPid(client) };
      return this.guard;
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
  }

  private async releaseGuard(): Promise<void> {
    const guard = this.guard;
    this.guard = null;
    await guard?.client.end().catch(() => undefined);
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
      const guarded = await this.guardAnswers();
      if (outage === null && guarded === 'yes') {
        if (this.reason !== null) this.logger.log('The database is back.');
        this.reason = null;
        continue;
      }
      if (guarded === 'moved') await this.letGo();
      this.report(guarded === 'moved' ? NO_SESSIONS : (outage ?? 'the connection to the database was lost'));
      if (guarded === 'yes') continue;
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

  /**
   * Whether the guard's session is there, and still the one that took the lock: something between that keeps no sessions may show
   * only under load. Also looks how far the clocks are apart.
   */
  private async guardAnswers(): Promise<'yes' | 'no' | 'moved'> {
    const guard = this.guard;
    if (guard === null) return 'no';
    const askedAt = this.clock.now().getTime();
    try {
      const { rows } = await guard.client.query<{ pid: number; now_ms: number }>({
        text: 'select pg_backend_pid() as pid, (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms',
        query_timeout: 5_000,
      } as pg.QueryConfig);
      const [{ pid, now_ms: theirs } = { pid: 0, now_ms: askedAt }] = rows;
      this.compareClocks(theirs, askedAt, this.clock.now().getTime());
      if (pid !== guard.pid) return 'moved';
      return this.guard === guard ? 'yes' : 'no';
    } catch {
      await this.releaseGuard();
      return 'no';
    }
  }

  private compareClocks(theirsMs: number, askedAt: number, answeredAt: number): void {
    // The answer was made some time between the question and its arrival.
    const ahead = askedAt - theirsMs > 0 ? askedAt - theirsMs : Math.min(0, answeredAt - theirsMs);
    const apart = Math.abs(ahead) > MOST_APART_MS;
    const side = ahead > 0 ? 'ahead of' : 'behind';
    const warning = apart
      ? `the clock of this machine is ${Math.round(Math.abs(ahead) / 1000)} s ${side} the database's, so times and waits are off`
      : null;
    if (apart && this.clockWarning === null) this.logger.warn(`Check the clocks: ${warning}.`);
    this.clockWarning = warning;
  }

  /** Nothing may be written through connections that have no sessions. */
  private async letGo(): Promise<void> {
    await this.releaseGuard();
    await this.database.close();
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
