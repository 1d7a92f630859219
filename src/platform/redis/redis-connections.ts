import { Logger } from '@nestjs/common';
import { Redis, type RedisOptions } from 'ioredis';
import { parseRedisUrl } from '../../config/index.js';
import { describeFault } from './redis-fault.js';
import { REDIS_SCRIPTS } from './redis-scripts.js';

/** Seconds that one BRPOP blocks. */
export const BLOCK_SECONDS = 5;

const COMMAND_TIMEOUT_MS = 900;
/** An answer that is later than this does not come: the connection is half open. */
const BLOCKING_TIMEOUT_MS = (BLOCK_SECONDS + 2) * 1_000;
const DISCONNECT_TIMEOUT_MS = 500;
const SAME_REFUSAL_EVERY_MS = 60_000;

/**
 * The connections of one process: one for commands, one that blocks, one that listens. They connect in the background and
 * reconnect for ever. Nothing is queued while a connection is down and nothing is sent twice: a command either reaches
 * the server now or fails now, since whoever asked has a neutral answer and somewhere else to look.
 */
export class RedisConnections {
  readonly commands: Redis;
  readonly blocking: Redis;
  readonly subscriber: Redis;
  private readonly logger = new Logger('Redis');
  private readonly refusals = new Map<string, number>();
  private fault = 'there is no connection yet';
  private started = false;

  /** @throws Error when `url` is not a connection string. */
  constructor(url: string) {
    const options: RedisOptions = {
      ...parseRedisUrl(url),
      lazyConnect: true,
      enableOfflineQueue: false,
      autoResubscribe: false,
      autoResendUnfulfilledCommands: false,
      // Zero fails what was in flight as soon as the connection closes.
      maxRetriesPerRequest: 0,
      maxLoadingRetryTime: 1_000,
      connectTimeout: 5_000,
      disconnectTimeout: DISCONNECT_TIMEOUT_MS,
      keepAlive: 10_000,
      disableClientInfo: true,
      scripts: REDIS_SCRIPTS,
      retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 5), 1_000) * (0.5 + Math.random() / 2),
      // A replica that was a master: the address leads to the new master, or will.
      reconnectOnError: (error) => error.message.startsWith('READONLY'),
    };
    this.commands = this.client({ ...options, connectionName: 'nova-commands', commandTimeout: COMMAND_TIMEOUT_MS });
    this.subscriber = this.client({ ...options, connectionName: 'nova-events', commandTimeout: COMMAND_TIMEOUT_MS });
    this.blocking = this.client({ ...options, connectionName: 'nova-bell', commandTimeout: BLOCKING_TIMEOUT_MS });
  }

  /** Begins to connect. */
  start(): void {
    if (this.started) return;
    this.started = true;
    this.revive();
  }

  /** Connects again what gave up for good, which the client does on a few faults of the first step. */
  revive(): void {
    for (const client of this.all()) {
      if (client.status === 'wait' || client.status === 'end') client.connect().catch(() => undefined);
    }
  }

  /** Closes every connection once what was sent has been answered, within the time limit of a command. */
  async stop(): Promise<void> {
    if (this.commands.status === 'ready') await this.commands.quit().catch(() => undefined);
    const closed = this.all().map(async (client) => {
      if (client.status === 'end') return;
      // A client that waits for its next attempt ends without saying so.
      const silent = ['wait', 'reconnecting'].includes(client.status);
      const end = new Promise<void>((resolve) => client.once('end', () => resolve()));
      client.disconnect();
      if (!silent) await end;
    });
    const late = new Promise((resolve) => setTimeout(resolve, DISCONNECT_TIMEOUT_MS * 2).unref());
    await Promise.race([Promise.all(closed), late]);
  }

  /** Why the last connection or command failed. */
  get lastFault(): string {
    return this.fault;
  }

  /** Runs `operation` or gives `neutral` when the server is gone, hangs or refuses; never rejects. */
  async run<T>(operation: (client: Redis) => Promise<T>, neutral: T): Promise<T> {
    try {
      return await this.attempt(operation);
    } catch (error) {
      this.noteRefusal(error);
      return neutral;
    }
  }

  /** Runs `operation`; rejects at once when there is no connection, and after 0.9 s when no answer comes. */
  async attempt<T>(operation: (client: Redis) => Promise<T>): Promise<T> {
    if (this.commands.status !== 'ready') throw new Error("Stream isn't writeable");
    return operation(this.commands);
  }

  private client(options: RedisOptions): Redis {
    const client = new Redis(options);
    // The first fault of a connection is its cause; what follows, up to its close, are consequences.
    let known = false;
    client.on('close', () => (known = false));
    client.on('error', (error: Error & { command?: { name?: string } }) => {
      if (!known) this.fault = describeFault(error);
      known = true;
      // The client would go on in database 0, which is not ours.
      if (error.command?.name === 'select') client.disconnect(true);
    });
    return client;
  }

  private all(): readonly Redis[] {
    return [this.commands, this.blocking, this.subscriber];
  }

  /** Logs a refusal once a minute per reason. A lost connection is the health check's to report. */
  noteRefusal(error: unknown): void {
    if (this.commands.status !== 'ready') return;
    const reason = describeFault(error);
    const now = performance.now();
    if (now - (this.refusals.get(reason) ?? -Infinity) < SAME_REFUSAL_EVERY_MS) return;
    this.refusals.set(reason, now);
    this.logger.warn(`Redis refused a command: ${reason}`);
  }
}
