import { Injectable, Logger } from '@nestjs/common';
import { AppConfig } from '../../../config/index.js';
import { Clock } from '../../../platform/clock/index.js';
import { isAway } from '../../../platform/database/index.js';
import { DomainError } from '../../../platform/errors/index.js';
import { withLogContext } from '../../../platform/logging/index.js';
import { roleKind } from '../../pods/index.js';
import { WorkTreeFencedError } from '../../tools/index.js';
import { DrainingError, type Lease, type LeaseLostError } from '../store/lease.js';
import { openGate, trapsGate } from '../rules/gates.js';
import { NO_EFFECTS, type Next, failTask } from '../rules/next.js';
import { afterStep, enter } from '../rules/plan.js';
import type { Situation } from '../rules/situation.js';
import { shownTraps } from '../rules/task-control.js';
import type { StageOutcome } from './stage-outcome.js';
import { CHANGE_LIST } from '../store/change-list.js';
import type { ArtifactWrite } from '../store/transition.js';
import { artifact, outcomeParts, type StageRecords } from './stage-records.js';
import { conflictsGate } from './publish-conflicts.js';
import { retryUnavailable } from '../store/retry-unavailable.js';
import { StageRunner } from './stage-runner.js';
import { TransitionsRepository } from '../store/transitions.repository.js';
import type { ClaimedTask } from '../store/task-queue.repository.js';
import { LoadedTasksRepository } from '../store/loaded-tasks.repository.js';
import { TaskExecution } from './task-execution.js';
import { TaskSpendsRepository } from '../store/task-spends.repository.js';
import { TaskTrees } from './task-trees.js';
import { isTerminal, runningStatus, type Role } from '../rules/task-status.js';
import { transition, type TransitionContext } from './next-transition.js';

/** First pause of a task that meets a fault of the machine; each is twice as long as the one before. */
const MACHINE_PAUSE_MS = 5_000;
const MACHINE_PAUSE_MOST_MS = 300_000;
/** About half an hour in all. */
const MACHINE_PAUSES = 10;

/** Faults that go away without the task's doing: space, descriptors, permissions, a disk that fails. */
function machineFault(error: unknown): string | null {
  const told = error instanceof DomainError && error.code === 'workspace_unwritable' ? error.cause : error;
  const code = told instanceof Error ? (told as NodeJS.ErrnoException).code : undefined;
  return code !== undefined && /^(ENOSPC|EDQUOT|EMFILE|ENFILE|EROFS|EIO|EACCES|EPERM|EFBIG|ENOMEM)$/.test(code)
    ? code
    : null;
}

/**
 * Runs a claimed task, step by step, until it ends, waits, or the lease is gone. Every progress is one fenced commit; a
 * process that dies between two commits leaves a task that goes on at the first unfinished stage.
 */
@Injectable()
export class TaskExecutor {
  private readonly logger = new Logger('Pipeline');

  constructor(
    private readonly config: AppConfig,
    private readonly clock: Clock,
    private readonly tasks: LoadedTasksRepository,
    private readonly transitions: TransitionsRepository,
    private readonly spends: TaskSpendsRepository,
    private readonly stages: StageRunner,
    private readonly trees: TaskTrees,
  ) {}

  /**
   * Works on the task until it leaves this worker's hands; false when it could not be put anywhere, so that the lease may
   * still stand. Never rejects.
   */
  run(claimed: ClaimedTask, lease: Lease): Promise<boolean> {
    return withLogContext({ task_id: claimed.id }, () => this.runLogged(claimed, lease));
  }

  private async runLogged(claimed: ClaimedTask, lease: Lease): Promise<boolean> {
    let execution: TaskExecution | null = null;
    try {
      const task = await this.tasks.find(claimed.id);
      if (task === null || task.epoch !== lease.epoch || task.version !== lease.version) return false;
      execution = new TaskExecution(task, lease, this.transitions, () => this.clock.monotonicMs());
      await this.work(execution);
      return true;
    } catch (error) {
      try {
        return await this.stopped(claimed, lease, execution, error);
      } catch (failure) {
        this.logger.error(`Task ${claimed.id} could not be put back; its lease will be found.`, String(failure));
        return false;
      }
    } finally {
      if (execution !== null) await this.settle(execution);
    }
  }

  private async work(execution: TaskExecution): Promise<void> {
    const lostTree = await this.trees.open(execution);
    execution.startTiming();
    let next: Next =
      lostTree === null ? enter(execution.situation) : failTask(execution.situation, lostTree.code, lostTree.message);
    if (execution.task.status !== 'completing' || next.kind !== 'complete') await this.advance(execution, {}, next);
    while (next.kind === 'run') next = await this.runStep(execution, next.roles);
    if (execution.task.status === 'completing') await this.publish(execution, next);
    const { task } = execution;
    // A task that completes and could make no tree touches no file.
    if (isTerminal(task.status) && (task.status !== 'complete' || execution.mayMakeTree)) {
      await this.trees.drop(task, task.status);
    }
  }

  /** Runs the unfinished stages of the present step together; the last one's commit decides what follows. */
  private async runStep(execution: TaskExecution, roles: readonly Role[]): Promise<Next> {
    const ended: StageOutcome[] = [];
    let decided: Next | undefined;
    let unstored: unknown = null;
    const end = async (role: Role, outcome: StageOutcome): Promise<void> => {
      ended.push(outcome);
      // A stage that failed may have changed files all the same.
      if (roleKind(role) === 'works' && outcome.kind !== 'complete') await this.trees.measure(execution);
      const parts = outcomeParts(execution, outcome, () => this.clock.newId());
      const { situation } = execution.foresee(parts);
      if (ended.length === roles.length) {
        decided = this.decide(situation, ended);
        await this.advance(execution, parts, decided);
        return;
      }
      // A stage that waits has not ended: there is nothing to store yet, and the status still names it.
      if (parts.stages === undefined) return;
      const unfinished = roles.find((other) => situation.newest[other]?.status === 'running') ?? role;
      const { control } = execution.task;
      await execution.commit({ ...parts, events: parts.events ?? [], to: runningStatus(unfinished), control });
    };
    const turns = await Promise.allSettled(
      roles.map(async (role) => {
        const outcome = await this.stages.run(execution, role);
        await execution.exclusive(async () => {
          // If a parallel stage's result failed to commit, don't decide the step from it.
          if (unstored !== null) throw unstored;
          await end(role, outcome).catch((error: unknown) => {
            unstored = error;
            throw error;
          });
        });
      }),
    );
    for (const turn of turns) if (turn.status === 'rejected') throw turn.reason;
    if (decided === undefined) throw new Error('A step ended without a decision.');
    return decided;
  }

  private decide(situation: Situation, outcomes: readonly StageOutcome[]): Next {
    const of = <Kind extends StageOutcome['kind']>(kind: Kind): Extract<StageOutcome, { kind: Kind }> | undefined =>
      outcomes.find((outcome): outcome is Extract<StageOutcome, { kind: Kind }> => outcome.kind === kind);
    const fatal = of('fatal');
    if (fatal) return failTask(situation, fatal.code, fatal.message);
    const gate = of('gate');
    if (gate) return openGate(situation, gate.gate, gate.reason, NO_EFFECTS, gate.details);
    const snooze = of('snooze');
    if (snooze) return this.snooze(situation, snooze.until, snooze.provider);
    return afterStep(situation);
  }

  private snooze(situation: Situation, until: number, provider: string): Next {
    const nowMs = this.clock.now().getTime();
    const waited = situation.control.providerWaitMs;
    const leftMs = this.config.pipeline.providerWaitSeconds * 1_000 - waited;
    if (leftMs <= 0) {
      return failTask(situation, 'provider_unavailable', `The provider ${provider} stayed unavailable for too long.`);
    }
    const pauseMs = Math.min(Math.max(until - nowMs, 250), leftMs);
    const control = { ...situation.control, providerWaitMs: waited + pauseMs };
    return { kind: 'snooze', until: nowMs + pauseMs, provider, control, effects: NO_EFFECTS };
  }

  /** Publishing may be cut anywhere: each file is either published or not, and the next attempt tells which. */
  private async publish(execution: TaskExecution, completed: Next): Promise<void> {
    const { conflicts, traps } = await this.trees.publish(execution);
    if (traps !== undefined) return this.advance(execution, {}, trapsGate(execution.situation, shownTraps(traps)));
    if (conflicts.length === 0) return this.advance(execution, {}, completed);
    const { reason, details } = conflictsGate(conflicts);
    await this.advance(execution, {}, openGate(execution.situation, 'publish_conflict', reason, NO_EFFECTS, details));
  }

  /** Commits what ended together with where the task goes. */
  private async advance(execution: TaskExecution, parts: StageRecords, next: Next): Promise<void> {
    const kept = await this.keptChanges(execution, next);
    const all = kept.length === 0 ? parts : { ...parts, artifacts: [...(parts.artifacts ?? []), ...kept] };
    const context: TransitionContext = {
      newId: () => this.clock.newId(),
      nowMs: () => this.clock.now().getTime(),
      staleSeconds: this.config.pipeline.staleSeconds,
    };
    await execution.commit(transition(execution.foresee(all), all, next, context));
  }

  /** What is kept of the changes that people are asked about, or that are published, for those who look when the tree is gone. */
  private async keptChanges(execution: TaskExecution, next: Next): Promise<ArtifactWrite[]> {
    if (next.kind !== 'gate' && (next.kind !== 'complete' || execution.task.status !== 'completing')) return [];
    const list = await this.trees.listChanges(execution);
    return list === null ? [] : [artifact(this.clock.newId(), null, CHANGE_LIST, 'changes.json', JSON.stringify(list))];
  }

  /**
   * The work stopped before the task went anywhere: the lease is gone, this process shuts down, or a fault of ours. False when
   * the lease may still stand.
   */
  private async stopped(
    claimed: ClaimedTask,
    lease: Lease,
    execution: TaskExecution | null,
    error: unknown,
  ): Promise<boolean> {
    // While it publishes or looks at its files: a cancel or a later epoch has taken them away.
    if (error instanceof WorkTreeFencedError) lease.lose(error.message);
    if (lease.lost) {
      const { message } = lease.signal.reason as LeaseLostError;
      this.logger.warn(`Task ${claimed.id}: the lease of epoch ${lease.epoch} is gone; its work stopped: ${message}`);
      return true;
    }
    if (lease.signal.reason instanceof DrainingError) {
      await this.release(claimed, lease, execution);
      return true;
    }
    if (isAway(error)) {
      this.logger.warn(`Task ${claimed.id}: the database went away; the task is given back when it answers.`);
      return false;
    }
    if (execution === null) throw error;
    const fault = machineFault(error);
    if (fault !== null && (await this.pause(execution, fault))) return true;
    const known = error instanceof DomainError;
    if (!known) this.logger.error({ message: `Task ${claimed.id} failed on a fault of this service`, error });
    const [code, message] = known
      ? [error.code, error.detail]
      : ['internal_error', 'The task failed on a fault of this service.'];
    const next = failTask(execution.situation, code, message);
    await this.advance(execution, {}, next);
    await this.trees.drop(execution.task, execution.task.status);
    return true;
  }

  /** Counts what was used and could not be written under the lease: it is gone, or the database was away. */
  private async settle(execution: TaskExecution): Promise<void> {
    const spent = execution.takeSpent();
    const isNothing = Object.values(spent).every((amount) => amount === 0);
    if (isNothing && execution.abandoned.length === 0) return;
    await retryUnavailable(this.clock, undefined, () =>
      this.spends.settle(execution.lease, spent, execution.abandoned),
    ).catch((error: unknown) => {
      this.logger.error({ message: `What task ${execution.task.id} used last could not be counted`, spent, error });
    });
  }

  /**
   * Puts the task off while this machine cannot serve it (its disk is full, its descriptors are used up); it loses neither
   * its tree nor a retry. False when it was put off often enough.
   */
  private async pause(execution: TaskExecution, code: string): Promise<boolean> {
    const pauses = execution.task.control.machinePauses ?? 0;
    if (pauses >= MACHINE_PAUSES) return false;
    this.logger.error(`Task ${execution.task.id} is put off: a file could not be worked with (${code}).`);
    await execution.commit({
      to: 'queued',
      control: { ...execution.task.control, machinePauses: pauses + 1 },
      queue: {
        next_status: execution.task.status,
        delay_ms: Math.min(MACHINE_PAUSE_MS * 2 ** pauses, MACHINE_PAUSE_MOST_MS),
        wait_reason: 'retry_at',
      },
      events: [{ type: 'task.retried', data: { reason: 'machine', code } }],
    });
    return true;
  }

  /** Gives the task back for another worker to go on with at once; counts neither as a retry nor as a crash. */
  private async release(claimed: ClaimedTask, lease: Lease, execution: TaskExecution | null): Promise<void> {
    const task = execution?.task ?? (await this.tasks.find(claimed.id));
    if (task === null || task.epoch !== lease.epoch) return;
    const held = execution ?? new TaskExecution(task, lease, this.transitions, () => this.clock.monotonicMs());
    await held.commit({
      to: 'queued',
      control: task.control,
      queue: { next_status: task.status, delay_ms: 0 },
      events: [{ type: 'task.retried', data: { reason: 'released' } }],
    });
  }
}
