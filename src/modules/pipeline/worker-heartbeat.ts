import { Logger } from '@nestjs/common';
import type { AppConfig } from '../../config/index.js';
import type { Clock } from '../../platform/clock/index.js';
import type { Lease } from './lease.js';
import type { ReservedConnection, WorkersRepository } from './workers.repository.js';

/** Share of the stale time without a successful beat after which a worker fences itself, by its monotonic clock. */
const FENCE_SHARE = 0.8;

/**
 * Keeps a worker's leases alive on a connection of its own, which also holds the worker's lock. A worker that could not beat
 * for 0.8 of the stale time stops all its work: before anyone else may take it, whatever the clocks of others say.
 */
export class WorkerHeartbeat {
  private readonly logger = new Logger('Worker');
  private readonly stopping = new AbortController();
  private connection: ReservedConnection | null = null;
  private loops: Promise<unknown> = Promise.resolve();
  private lastBeatMs = 0;

  constructor(
    readonly worker: number,
    private readonly config: AppConfig,
    private readonly clock: Clock,
    private readonly workers: WorkersRepository,
    private readonly leases: () => readonly Lease[],
  ) {}

  /** Whether new leases may be taken: the last beat succeeded and is fresh. */
  get healthy(): boolean {
    return this.connection !== null && this.sinceBeatMs() < this.fenceMs() / 2;
  }

  /** Takes the worker's lock and begins to beat. */
  async start(): Promise<void> {
    await this.connect();
    this.loops = Promise.all([this.beatLoop(), this.fenceLoop()]);
  }

  /** Stops, after which the worker's lock is free. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.loops;
    const connection = this.connection;
    this.connection = null;
    await connection?.end().catch(() => undefined);
  }

  private async beatLoop(): Promise<void> {
    const intervalMs = this.config.pipeline.heartbeatSeconds * 1_000;
    while (!this.stopping.signal.aborted) {
      await this.clock.sleep(this.connection === null ? Math.min(intervalMs, 1_000) : intervalMs, this.stopping.signal);
      if (this.stopping.signal.aborted) return;
      try {
        if (this.connection === null) await this.connect();
        else await this.beat(this.connection);
      } catch (error) {
        this.logger.warn(`A heartbeat failed: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }

  private async beat(connection: ReservedConnection): Promise<void> {
    const startedMs = this.clock.monotonicMs();
    const leases = this.leases();
    const held = await this.workers.beat(connection, this.worker, leases, this.config.pipeline.staleSeconds);
    // The leases count from the statement's start: the server may have run it at any time since.
    this.lastBeatMs = startedMs;
    for (const lease of leases) if (!held.has(lease.taskId)) lease.lose('The lease was not there to renew.');
  }

  private async connect(): Promise<void> {
    const connection = await this.workers.connect(this.worker, (error) => {
      if (this.stopping.signal.aborted) return;
      this.logger.warn(`The worker's connection was lost: ${error.message}`);
      this.connection = null;
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
