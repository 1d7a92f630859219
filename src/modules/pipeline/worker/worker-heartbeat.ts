import { Logger } from '@nestjs/common';
import type { AppConfig } from '../../../config/index.js';
import type { Clock } from '../../../platform/clock/index.js';
import type { Lease } from '../store/lease.js';
import type { ReservedConnection, WorkersRepository } from '../store/workers.repository.js';

/** Share of the stale time without a successful beat after which a worker fences itself, by its monotonic clock. */
const FENCE_SHARE = 0.8;
/** Pause before another try; two looks at a free lock are five times as far apart. */
const RECONNECT_MS = 1_000;

/**
 * Keeps a worker's leases alive on a connection of its own, which also holds the worker's lock. A worker that could not beat
 * for 0.8 of the stale time stops all its work: before anyone else may take it, whatever the clocks of others say.
 */
export class WorkerHeartbeat {
  private readonly logger = new Logger('Worker');
  private readonly stopping = new AbortController();
  private connection: ReservedConnection | null = null;
  /** Ends the pause before the next beat: a lost connection takes the worker's lock with it, and others count seconds. */
  private awake = new AbortController();
  private loops: Promise<unknown> = Promise.resolve();
  private lastBeatMs = 0;

  constructor(
    readonly worker: number,
    private readonly config: AppConfig,
    private readonly clock: Clock,
    private readonly workers: WorkersRepository,
    private readonly leases: () => readonly Lease[],
    /** Told of the tasks that a beat renewed. */
    private readonly onBeat: (taskIds: ReadonlySet<string>) => void = () => undefined,
  ) {}

  /** Whether new leases may be taken: the last beat succeeded and is fresh. */
  get healthy(): boolean {
    return this.connection !== null && this.sinceBeatMs() < this.fenceMs() / 2;
  }

  /** Takes the worker's lock and begins to beat. */
  async start(): Promise<void> {
    await this.connect().catch((error: unknown) => {
      this.drop();
      throw error;
    });
    this.loops = Promise.all([this.beatLoop(), this.fenceLoop()]);
  }

  /** Takes the fleet's one right to drain for a suspect; false while another worker has it. It ends with the connection. */
  async takeDrain(): Promise<boolean> {
    return this.connection !== null && this.workers.takeDrain(this.connection);
  }

  /** Gives the right to drain back. */
  async giveDrain(): Promise<void> {
    if (this.connection !== null) await this.workers.giveDrain(this.connection);
  }

  /** Stops, after which the worker's lock is free. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.awake.abort();
    await this.loops;
    const connection = this.connection;
    this.connection = null;
    await connection?.end().catch(() => undefined);
  }

  private async beatLoop(): Promise<void> {
    const intervalMs = this.config.pipeline.heartbeatSeconds * 1_000;
    while (!this.stopping.signal.aborted) {
      this.awake = new AbortController();
      if (this.connection !== null) await this.clock.sleep(intervalMs, this.awake.signal);
      if (this.stopping.signal.aborted) return;
      try {
        if (this.connection === null) await this.connect();
        else await this.beat(this.connection);
      } catch (error) {
        this.logger.warn(`A heartbeat failed: ${error instanceof Error ? error.message : String(error)}`);
        this.drop();
        await this.clock.sleep(Math.min(intervalMs, RECONNECT_MS), this.stopping.signal);
      }
    }
  }

  /** Whatever made a beat fail, a new connection is the way on: one that went silent would stay so for a quarter of an hour. */
  private drop(): void {
    const connection = this.connection;
    this.connection = null;
    void connection?.end().catch(() => undefined);
  }

  private async beat(connection: ReservedConnection): Promise<void> {
    const startedMs = this.clock.monotonicMs();
    const leases = this.leases();
    const held = await this.workers.beat(connection, this.worker, leases, this.config.pipeline.staleSeconds);
    // The leases count from the statement's start: the server may have run it at any time since.
    this.lastBeatMs = startedMs;
    for (const lease of leases) if (!held.has(lease.taskId)) lease.lose('The lease was not there to renew.');
    this.onBeat(held);
  }

  private async connect(): Promise<void> {
    let connection: ReservedConnection | null = null;
    connection = await this.workers.connect(this.worker, (error) => {
      if (this.stopping.signal.aborted || this.connection !== connection) return;
      this.logger.warn(`The worker's connection was lost: ${error.message}`);
      this.connection = null;
      this.awake.abort();
    });
    this.connection = connection;
    await this.beat(connection);
  }

  private async fenceLoop(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      await this.clock.sleep(this.fenceMs() / 20, this.stopping.signal);
      if (this.sinceBeatMs() < this.fenceMs()) continue;
      for (const lease of this.leases()) lease.lose('This worker could not renew its leases and fenced itself.');
    }
  }

  private sinceBeatMs(): number {
    return this.clock.monotonicMs() - this.lastBeatMs;
  }

  private fenceMs(): number {
    return this.config.pipeline.staleSeconds * 1_000 * FENCE_SHARE;
  }
}
