import { Injectable, Logger } from '@nestjs/common';
import { AppConfig } from '../../../config/index.js';
import { TaskBell } from '../../../platform/redis/index.js';
import { onScheduler, Periodic } from '../../../platform/schedule/index.js';
import { StartStep } from '../../../platform/startup/index.js';
import { isSuspect } from '../rules/crashes.js';
import type { Transition } from '../store/transition.js';
import { PipelineConsumer } from './pipeline.consumer.js';
import { PipelineRetention } from './pipeline.retention.js';
import { TransitionsRepository } from '../store/transitions.repository.js';
import { TaskQueueRepository, type LeasedTask } from '../store/task-queue.repository.js';
import { WorkersRepository } from '../store/workers.repository.js';

/** Time between two looks at a worker's lock; two free looks without a beat between them make it dead. */
const LOCK_LOOK_MS = 5_000;
const PROMOTE_MS = 1_000;
const BATCH = 200;
/** Pause before the run after a second crash of one stage, with jitter. */
const SECOND_CRASH_PAUSE_MS = 5_000;

/**
 * Brings back the work of dead workers. Any number of replicas may reap at once: every reap is a guarded transition, and only one
 * of them applies.
 */
@Injectable()
export class PipelineReaper {
  private readonly logger = new Logger('Reaper');
  /** What the last look saw: the beats of the tasks of each worker whose lock was free. */
  private unlocked = new Map<number, Map<string, string | null>>();

  constructor(
    private readonly config: AppConfig,
    private readonly consumer: PipelineConsumer,
    private readonly queue: TaskQueueRepository,
    private readonly transitions: TransitionsRepository,
    private readonly workers: WorkersRepository,
    private readonly bell: TaskBell,
    private readonly retention: PipelineRetention,
  ) {}

  /**
   * Takes back everything that is leased to others, where this process is alone on its database, as one with in-process state
   * is: whoever else holds a lease there is dead, or fenced by this.
   */
  @StartStep('background-tasks')
  async recover(): Promise<void> {
    if (this.config.redis.url !== null) return;
    for (const owner of await this.queue.leaseOwners()) {
      if (owner === this.consumer.worker) continue;
      for (const task of await this.queue.findLeasedTo(owner, 10_000)) {
        await this.reap(task, 'worker_dead', {
          owner_without_beat_since: { owner, last_heartbeat_at: task.lastHeartbeatAt },
        });
      }
    }
  }

  /** One whole pass. A check that fails does not keep the others from running. */
  @Periodic('reaper', onScheduler(({ pipeline }) => pipeline.reaperSeconds * 1_000))
  async pass(): Promise<void> {
    const checks = [() => this.reapExpired(), () => this.promote(), () => this.retention.pass()];
    for (const check of checks) {
      await check().catch((error: unknown) =>
        this.logger.warn(
          `A check failed and will run again: ${error instanceof Error ? error.message : String(error)}`,
        ),
      );
    }
  }

  /** Makes the tasks ready whose time has come. */
  @Periodic('promoter', onScheduler(() => PROMOTE_MS))
  async promote(): Promise<void> {
    for (;;) {
      const due = await this.queue.promote(1_000);
      if (due.length > 0) await this.bell.ring(due);
      if (due.length < 1_000) return;
    }
  }

  private async reapExpired(): Promise<void> {
    for (;;) {
      const expired = await this.queue.findExpired(BATCH);
      const guards = { lease: { lease_expired: true }, deadline: { deadline_passed: true } } as const;
      const reaped = await Promise.all(
        expired.map((task) =>
          this.reap(task, task.expired === 'lease' ? 'lease_expired' : 'deadline_passed', guards[task.expired]),
        ),
      );
      if (expired.length < BATCH || !reaped.includes(true)) return;
    }
  }

  /** Takes back what workers hold whose lock is free and whose beat has stopped. */
  @Periodic('dead-worker-watch', onScheduler(() => LOCK_LOOK_MS))
  async reapDeadWorkers(): Promise<void> {
    const free = await this.workers.findUnlocked(await this.queue.leaseOwners());
    const seen = new Map<number, Map<string, string | null>>();
    for (const owner of free) {
      const tasks = await this.queue.findLeasedTo(owner, BATCH);
      const before = this.unlocked.get(owner);
      const silent = tasks.filter((task) => before?.get(task.id) === task.lastHeartbeatAt);
      await Promise.all(
        silent.map((task) =>
          this.reap(task, 'worker_dead', {
            owner_without_beat_since: { owner, last_heartbeat_at: task.lastHeartbeatAt },
          }),
        ),
      );
      seen.set(owner, new Map(tasks.map((task) => [task.id, task.lastHeartbeatAt])));
    }
    this.unlocked = seen;
  }

  /** Puts the task back into the queue, after its second crash in a stage as a suspect, or ends it as a dead letter at its last one. */
  private async reap(task: LeasedTask, reason: string, guard: Partial<Transition['guard']>): Promise<boolean> {
    const crashes = task.stageCrashes + 1;
    const stage = task.status.replace('_running', '');
    const base = {
      task_id: task.id,
      from: task.status,
      guard: { epoch: task.epoch, version: task.version, ...guard },
      control: task.control,
      raise_epoch: true,
      stage_crashes: crashes,
    };
    const told = { reason, crashes, worker: task.leaseOwner, stage };
    if (crashes >= this.config.pipeline.maxCrashes) {
      const message = `The worker died ${crashes} times in the stage ${stage}.`;
      return this.transitions.commit({
        ...base,
        to: 'failed',
        suspect: false,
        error: { code: 'crashed', message, context: { stage } },
        end_running_stages: { status: 'failed', error_code: 'crashed', error: message },
        dead_letter: { reason: 'crashed', error: message, stage },
        events: [
          { type: 'task.reaped', data: told },
          { type: 'task.finished', data: { status: 'failed', code: 'crashed' } },
        ],
      });
    }
    const delayMs = crashes < 2 ? 0 : Math.round(SECOND_CRASH_PAUSE_MS * (0.5 + Math.random()));
    const applied = await this.transitions.commit({
      ...base,
      to: 'queued',
      suspect: isSuspect(crashes),
      queue: {
        next_status: task.status,
        delay_ms: delayMs,
        ...(delayMs > 0 ? { wait_reason: 'retry_at' as const } : {}),
      },
      events: [{ type: 'task.reaped', data: told }],
    });
    if (applied && delayMs === 0) await this.bell.ring([task.id]);
    return applied;
  }
}
