import { hostname } from 'node:os';
import { Injectable, Logger, type BeforeApplicationShutdown, type OnModuleDestroy } from '@nestjs/common';
import { AppConfig } from '../../../config/index.js';
import { Clock } from '../../../platform/clock/index.js';
import { EventBus, LiveState, TaskBell } from '../../../platform/redis/index.js';
import { StartStep } from '../../../platform/startup/index.js';
import { StorageRoom } from '../../../platform/storage/index.js';
import { isSuspect, MOST_CRASHED } from '../rules/crashes.js';
import { Lease } from '../store/lease.js';
import { TaskExecutor } from '../run/task-executor.js';
import { TASK_EVENTS_CHANNEL, type PublishedEvent } from '../store/task-event-publisher.js';
import { TransitionsRepository } from '../store/transitions.repository.js';
import { TaskQueueRepository, type ClaimedTask } from '../store/task-queue.repository.js';
import { WorkerHeartbeat } from './worker-heartbeat.js';
import { WorkersRepository } from '../store/workers.repository.js';

/** Longest wait for the bell; a ring that was lost costs this much. */
const BELL_WAIT_MS = 5_000;
/** How often leases are looked at, for the cancels that were not heard. */
const POLL_MS = 1_000;
/** Leases of this worker that are looked through at once for those that nobody works on. */
const OWN_LEASES = 1_000;
/** Time between two looks for a suspect while other tasks are due. */
const SUSPECT_LOOK_MS = 1_000;

/**
 * Claims due tasks for its free slots and runs them. Claims for each freed slot until nothing is due, then blocks on the bell:
 * with a wait before each claim, a backlog that nobody rings for would drain one task a wait.
 */
@Injectable()
export class PipelineConsumer implements OnModuleDestroy, BeforeApplicationShutdown {
  private readonly logger = new Logger('Worker');
  /** By lease: a task may come back while a run of it, whose lease is over, still winds up. */
  private readonly running = new Map<Lease, Promise<void>>();
  private readonly stopping = new AbortController();
  private unsubscribe: () => void = () => undefined;
  private heartbeat: WorkerHeartbeat | null = null;
  private claiming: Promise<void> = Promise.resolve();
  /** This worker takes nothing on, until a suspect can run here with nothing beside it. */
  private draining = false;
  private suspectAlone = false;
  /** When a suspect was last looked for. */
  private lookedMs = -Infinity;
  /** Leases may stand that no run holds: of a claim whose answer was lost, or of a run that could not store its end. */
  private unsure = false;
  /** Whether the last claim may have left something due, so that a freed slot is worth another one. */
  private leftDue = true;
  /** Ends the rest under way, or the next one when it aborts before. */
  private awake = new AbortController();

  constructor(
    private readonly config: AppConfig,
    private readonly clock: Clock,
    private readonly bell: TaskBell,
    private readonly bus: EventBus,
    private readonly live: LiveState,
    private readonly queue: TaskQueueRepository,
    private readonly transitions: TransitionsRepository,
    private readonly workers: WorkersRepository,
    private readonly executor: TaskExecutor,
    private readonly room: StorageRoom,
  ) {}

  /** Id of this worker; null until it has one. */
  get worker(): number | null {
    return this.heartbeat?.worker ?? null;
  }

  /** Begins to claim, in a process with the role `worker`. */
  @StartStep('background-tasks')
  async start(): Promise<void> {
    if (!this.config.roles.includes('worker')) return;
    const id = await this.workers.register(`${hostname()}/${process.pid}`);
    this.heartbeat = new WorkerHeartbeat(
      id,
      this.config,
      this.clock,
      this.workers,
      () => [...this.running.keys()],
      (taskIds) => this.mirror(taskIds),
    );
    await this.heartbeat.start();
    this.unsubscribe = this.bus.subscribe(TASK_EVENTS_CHANNEL, (message) => this.hear(message));
    this.claiming = this.claimLoop(id);
    void this.pollLeases(id);
  }

  /** No new claims from here on. */
  onModuleDestroy(): void {
    this.stopping.abort();
    this.awake.abort();
  }

  /** Running stages get the grace period, then their tasks are given back for others to go on with. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.claiming;
    const everything = (): Promise<unknown> => Promise.all(this.running.values());
    const grace = new AbortController();
    await Promise.race([everything(), this.clock.sleep(this.config.pipeline.graceSeconds * 1_000, grace.signal)]);
    grace.abort();
    for (const lease of this.running.keys()) lease.drain();
    await everything();
    this.unsubscribe();
    await this.heartbeat?.stop();
  }

  private async claimLoop(worker: number): Promise<void> {
    while (!this.stopping.signal.aborted) {
      this.leftDue = true;
      this.awake = new AbortController();
      try {
        this.leftDue = await this.claimOnce(worker);
      } catch (error) {
        this.unsure = true;
        this.logger.warn(`Claiming failed and goes on: ${error instanceof Error ? error.message : String(error)}`);
        await this.clock.sleep(1_000, this.stopping.signal);
        continue;
      }
      await this.rest();
    }
  }

  /** Claims what fits; true when something may be due that was not claimed. */
  private async claimOnce(worker: number): Promise<boolean> {
    if (this.unsure) await this.giveBackUnheld(worker);
    // Tasks wait for room as they wait for a slot; the next look comes with the next rest.
    if (this.room.shortOf() !== null) return false;
    if (this.suspectAlone || !this.heartbeat?.healthy) return true;
    if (this.draining) return this.claimSuspect(worker);
    const left = await this.claimOthers(worker);
    // A run that ends during the look is worth another claim only if something was left.
    this.leftDue = left;
    // Much else being due does not put a suspect off; it only makes the looks for one rarer.
    const nowMs = this.clock.monotonicMs();
    if (left && nowMs - this.lookedMs < SUSPECT_LOOK_MS) return true;
    this.lookedMs = nowMs;
    if (!(await this.queue.suspectDue()) || !(await this.heartbeat.takeDrain())) return left;
    this.draining = true;
    return this.claimSuspect(worker);
  }

  /** Fills the free slots with tasks that are no suspects; true when something else may be due. */
  private async claimOthers(worker: number): Promise<boolean> {
    const { maxConcurrent, staleSeconds } = this.config.pipeline;
    const free = maxConcurrent - this.running.size;
    if (free <= 0) return true;
    const crashed = [...this.running.keys()].filter((lease) => lease.crashed).length;
    // Any of these may have crashed; past them only such are taken as have not.
    const any = Math.min(free, Math.max(0, MOST_CRASHED - crashed));
    const claimed = any > 0 ? await this.queue.claim(worker, any, staleSeconds, 'any') : [];
    for (const task of claimed) this.begin(worker, task);
    if (claimed.length < any) return false;
    const room = free - any;
    if (room === 0) return true;
    const fresh = await this.queue.claim(worker, room, staleSeconds, 'fresh');
    for (const task of fresh) this.begin(worker, task);
    return true;
  }

  /** Claims a suspect once nothing else runs here. One worker of all does this at a time. */
  private async claimSuspect(worker: number): Promise<boolean> {
    if (this.running.size > 0) return true;
    const [suspect] = await this.queue.claim(worker, 1, this.config.pipeline.staleSeconds, 'suspect');
    this.draining = false;
    if (suspect === undefined) {
      await this.heartbeat?.giveDrain();
      return this.claimOthers(worker);
    }
    this.suspectAlone = true;
    this.begin(worker, suspect);
    return true;
  }

  /**
   * Gives back the leases of this worker that none of its runs holds, which would otherwise stand until they expire. Each counts
   * as a crash, since a task may be what makes its commits fail; the last one is left to the reaper, who ends it.
   */
  private async giveBackUnheld(worker: number): Promise<void> {
    for (const task of await this.queue.findLeasedTo(worker, OWN_LEASES)) {
      if ([...this.running.keys()].some(({ taskId, epoch }) => taskId === task.id && epoch === task.epoch)) continue;
      if (task.stageCrashes + 1 >= this.config.pipeline.maxCrashes) continue;
      await this.transitions.commit({
        task_id: task.id,
        from: task.status,
        to: 'queued',
        guard: { epoch: task.epoch, version: task.version },
        control: task.control,
        raise_epoch: true,
        stage_crashes: task.stageCrashes + 1,
        suspect: isSuspect(task.stageCrashes + 1),
        queue: { next_status: task.status, delay_ms: 0 },
        events: [{ type: 'task.retried', data: { reason: 'released' } }],
      });
    }
    this.unsure = false;
  }

  private begin(worker: number, task: ClaimedTask): void {
    for (const earlier of this.held(task.id)) earlier.lose('The task was claimed anew.');
    const lease = new Lease(task.id, worker, task.epoch, task.version, task.stageCrashes > 0);
    const done = this.executor.run(task, lease).then((left) => {
      this.running.delete(lease);
      if (!left) this.unsure = this.leftDue = true;
      if (this.suspectAlone && this.running.size === 0) this.endAlone();
      if (this.leftDue) this.awake.abort();
    });
    this.running.set(lease, done);
    this.mirror([task.id]);
  }

  /** A suspect's run has ended here: another worker may drain for the next one. */
  private endAlone(): void {
    this.suspectAlone = false;
    this.heartbeat
      ?.giveDrain()
      // The lock ends with the connection.
      .catch((error: unknown) => this.logger.warn({ message: 'The right to drain could not be given back', error }));
  }

  /** Shows observers which tasks are alive: `heartbeat:task:<id>`. Nothing here reads it, and it may be lost at any moment. */
  private mirror(taskIds: Iterable<string>): void {
    const ttlMs = this.config.pipeline.staleSeconds * 1_000;
    const at = this.clock.now().toISOString();
    for (const id of taskIds) this.live.set(`heartbeat:task:${id}`, at, ttlMs).catch(() => undefined);
  }

  /** Waits to be woken, and for the bell while a slot is free. */
  private async rest(): Promise<void> {
    const { signal } = this.awake;
    const full = this.running.size >= this.config.pipeline.maxConcurrent || this.suspectAlone || this.draining;
    if (full || !this.heartbeat?.healthy) await this.clock.sleep(full ? BELL_WAIT_MS : POLL_MS, signal);
    else await this.bell.wait(BELL_WAIT_MS, signal);
  }

  /** Cancels and reaps are announced; the lease is looked at before anything stops. Only a task's holder completes it. */
  private hear(message: unknown): void {
    const { task_id: taskId, type, data } = (message ?? {}) as Partial<PublishedEvent>;
    if (type !== 'task.reaped' && (type !== 'task.finished' || data?.['status'] === 'complete')) return;
    if (taskId !== undefined) void this.dropLost(this.held(taskId));
  }

  /** Announcements can be lost on either side without the other side's knowing; this look costs one index range. */
  private async pollLeases(worker: number): Promise<void> {
    while (!this.stopping.signal.aborted || this.running.size > 0) {
      await this.clock.sleep(POLL_MS, this.running.size > 0 ? undefined : this.stopping.signal);
      await this.dropLost(this.held(), worker);
    }
  }

  /** The leases that runs hold, as far as is known: at most one of a task. All, or those of one task. */
  private held(taskId?: string): Lease[] {
    return [...this.running.keys()].filter((lease) => !lease.lost && (taskId ?? lease.taskId) === lease.taskId);
  }

  private async dropLost(held: readonly Lease[], worker = this.heartbeat?.worker ?? 0): Promise<void> {
    if (held.length === 0) return;
    try {
      const lost = await this.workers.findLost(worker, held);
      // Those that were looked at: the task may have come back to this worker meanwhile.
      for (const lease of held) {
        if (lost.includes(lease.taskId)) lease.lose('The task was cancelled or given to another worker.');
      }
    } catch (error) {
      this.logger.warn(`Leases could not be looked at: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
