import { Injectable, Logger } from '@nestjs/common';
import { AppConfig } from '../../../config/index.js';
import { Clock } from '../../../platform/clock/index.js';
import { DomainError } from '../../../platform/errors/index.js';
import { WorkTreeFenced } from '../../tools/index.js';
import { DrainingError, type Lease, type LeaseLostError } from '../store/lease.js';
import { afterStep, enter, failTask, NO_EFFECTS, openGate, type Next } from '../rules/plan.js';
import type { StageOutcome } from './stage-outcome.js';
import { outcomeParts, type MoveParts } from './stage-records.js';
import { retryUnavailable } from '../store/retry-unavailable.js';
import { StageRunner } from './stage-runner.js';
import { TaskMovesRepository } from '../store/transitions.repository.js';
import type { ClaimedTask } from '../store/task-queue.repository.js';
import { TaskRunsRepository } from '../store/loaded-tasks.repository.js';
import { TaskSession } from './task-execution.js';
import { TaskSpendsRepository } from '../store/task-spends.repository.js';
import { TaskTrees } from './task-trees.js';
import { isTerminal, runningStatus, type Role } from '../rules/task-status.js';
import { transition } from './next-transition.js';

/** First pause of a task that meets a fault of the machine; each is twice as long as the one before. */
const MACHINE_PAUSE_MS = 5_000;
const MACHINE_PAUSE_MOST_MS = 300_000;
/** About half an hour in all. */
const MACHINE_PAUSES = 10;

/** Faults that go away without the task's doing: space, descriptors, permissions, a disk that fails. */
function isMachineFault(error: unknown): error is NodeJS.ErrnoException & { code: string } {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return code !== undefined && /^(ENOSPC|EDQUOT|EMFILE|ENFILE|EROFS|EIO|EACCES|EPERM|ENOMEM)$/.test(code);
}

/**
 * Runs a claimed task, step by step, until it ends, waits, or the lease is gone. Every progress is one fenced commit; a
 * process that dies between two commits leaves a task that goes on at the first unfinished stage.
 */
@Injectable()
export class PipelineExecutor {
  private readonly logger = new Logger('Pipeline');

  constructor(
    private readonly config: AppConfig,
    private readonly clock: Clock,
    private readonly runs: TaskRunsRepository,
    private readonly moves: TaskMovesRepository,
    private readonly spends: TaskSpendsRepository,
    private readonly stages: StageRunner,
    private readonly trees: TaskTrees,
  ) {}

  /**
   * Works on the task until it leaves this worker's hands; false when it could not be put anywhere, so that the lease may
   * still stand. Never rejects.
   */
  async run(claimed: ClaimedTask, lease: Lease): Promise<boolean> {
    let session: TaskSession | null = null;
    try {
      const run = await this.runs.find(claimed.id);
      if (run === null || run.epoch !== lease.epoch || run.version !== lease.version) return false;
      session = new TaskSession(run, lease, this.moves, () => this.clock.monotonicMs());
      await this.work(session);
      return true;
    } catch (error) {
      try {
        return await this.stopped(claimed, lease, session, error);
      } catch (failure) {
        this.logger.error(`Task ${claimed.id} could not be put back; its lease will be found.`, String(failure));
        return false;
      }
    } finally {
      if (session !== null) await this.settle(session);
    }
  }

  private async work(session: TaskSession): Promise<void> {
    const lostTree = await this.trees.open(session);
    session.startTiming();
    let next: Next =
      lostTree === null ? enter(session.situation) : failTask(session.situation, lostTree.code, lostTree.message);
    if (session.run.status !== 'completing' || next.kind !== 'complete') await this.advance(session, {}, next);
    while (next.kind === 'run') next = await this.runStep(session, next.roles);
    if (session.run.status === 'completing') await this.publish(session, next);
    if (isTerminal(session.run.status)) await this.trees.drop(session.run, session.run.status);
  }

  /** Runs the unfinished stages of the present step together; the last one's commit decides what follows. */
  private async runStep(session: TaskSession, roles: readonly Role[]): Promise<Next> {
    const ended: StageOutcome[] = [];
    let decided: Next | undefined;
    let unstored: unknown = null;
    const end = async (role: Role, outcome: StageOutcome): Promise<void> => {
      ended.push(outcome);
      // A stage that failed may have changed files all the same.
      if (role === 'task' && outcome.kind !== 'complete') await this.trees.measure(session);
      const parts = outcomeParts(session, outcome, () => this.clock.newId());
      if (ended.length === roles.length) {
        decided = this.decide(session, ended);
        await this.advance(session, parts, decided);
        return;
      }
      // A stage that waits has not ended: there is nothing to store yet, and the status still names it.
      if (parts.stages === undefined) return;
      const unfinished = roles.find((other) => session.situation.newest[other]?.status === 'running') ?? role;
      const { control } = session.run;
      await session.commit({ ...parts, events: parts.events ?? [], to: runningStatus(unfinished), control });
    };
    const turns = await Promise.allSettled(
      roles.map(async (role) => {
        const outcome = await this.stages.run(session, role);
        await session.exclusive(async () => {
          // What a neighbour said and could not store is nothing that may be decided upon.
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

  private decide(session: TaskSession, outcomes: readonly StageOutcome[]): Next {
    const { situation } = session;
    const of = <Kind extends StageOutcome['kind']>(kind: Kind): Extract<StageOutcome, { kind: Kind }> | undefined =>
      outcomes.find((outcome): outcome is Extract<StageOutcome, { kind: Kind }> => outcome.kind === kind);
    const fatal = of('fatal');
    if (fatal) return failTask(situation, fatal.code, fatal.message);
    const gate = of('gate');
    if (gate) return openGate(situation, gate.gate, gate.reason, NO_EFFECTS, gate.details);
    const snooze = of('snooze');
    if (snooze) return this.snooze(session, snooze.until, snooze.provider);
    return afterStep(situation);
  }

  private snooze(session: TaskSession, until: number, provider: string): Next {
    const { situation } = session;
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
  private async publish(session: TaskSession, completed: Next): Promise<void> {
    const conflicts = await this.trees.publish(session);
    if (conflicts.length === 0) return this.advance(session, {}, completed);
    const reason = `The workspace changed meanwhile: ${conflicts.slice(0, 20).join(', ')}.`;
    const gate = openGate(session.situation, 'publish_conflict', reason, NO_EFFECTS, { files: conflicts });
    await this.advance(session, {}, gate);
  }

  /** Commits what ended together with where the task goes, and keeps the session's view in step. */
  private async advance(session: TaskSession, parts: MoveParts, next: Next): Promise<void> {
    const move = transition(session, parts, next, {
      newId: () => this.clock.newId(),
      nowMs: () => this.clock.now().getTime(),
      staleSeconds: this.config.pipeline.staleSeconds,
    });
    await session.commit(move);
    for (const finding of session.run.findings) if (next.effects.overridden.includes(finding.id)) finding.open = false;
    for (const stage of move.stages ?? []) {
      if (stage.status === 'running') {
        session.run.stages.push({
          ...stage,
          output: null,
          error: null,
          errorCode: null,
          inputTokens: 0,
          outputTokens: 0,
          costUsd: null,
        });
      }
    }
  }

  /**
   * The work stopped before the task went anywhere: the lease is gone, this process shuts down, or a fault of ours. False when
   * the lease may still stand.
   */
  private async stopped(
    claimed: ClaimedTask,
    lease: Lease,
    session: TaskSession | null,
    error: unknown,
  ): Promise<boolean> {
    // While it publishes or looks at its files: a cancel or a later epoch has taken them away.
    if (error instanceof WorkTreeFenced) lease.lose(error.message);
    if (lease.lost) {
      const { message } = lease.signal.reason as LeaseLostError;
      this.logger.warn(`Task ${claimed.id}: the lease of epoch ${lease.epoch} is gone; its work stopped: ${message}`);
      return true;
    }
    if (lease.signal.reason instanceof DrainingError) {
      await this.release(claimed, lease, session);
      return true;
    }
    if (error instanceof DomainError && error.code === 'dependency_unavailable') {
      this.logger.warn(`Task ${claimed.id}: the database went away; the task is given back when it answers.`);
      return false;
    }
    if (session === null) throw error;
    if (isMachineFault(error) && (await this.pause(session, error.code))) return true;
    const known = error instanceof DomainError;
    if (!known) this.logger.error({ message: `Task ${claimed.id} failed on a fault of this service`, error });
    const [code, message] = known
      ? [error.code, error.detail]
      : ['internal_error', 'The task failed on a fault of this service.'];
    const next = failTask(session.situation, code, message);
    await this.advance(session, {}, next);
    await this.trees.drop(session.run, session.run.status);
    return true;
  }

  /** Counts what was used and could not be written under the lease: it is gone, or the database was away. */
  private async settle(session: TaskSession): Promise<void> {
    const spent = session.takeSpent();
    const isNothing = Object.values(spent).every((amount) => amount === 0);
    if (isNothing && session.abandoned.length === 0) return;
    await retryUnavailable(this.clock, undefined, () =>
      this.spends.settle(session.lease, spent, session.abandoned),
    ).catch((error: unknown) => {
      this.logger.error({ message: `What task ${session.run.id} used last could not be counted`, spent, error });
    });
  }

  /**
   * Puts the task off while this machine cannot serve it (its disk is full, its descriptors are used up); it loses neither
   * its tree nor a retry. False when it was put off often enough.
   */
  private async pause(session: TaskSession, code: string): Promise<boolean> {
    const pauses = session.run.control.machinePauses ?? 0;
    if (pauses >= MACHINE_PAUSES) return false;
    this.logger.error(`Task ${session.run.id} is put off: a file could not be worked with (${code}).`);
    await session.commit({
      to: 'queued',
      control: { ...session.run.control, machinePauses: pauses + 1 },
      queue: {
        next_status: session.run.status,
        delay_ms: Math.min(MACHINE_PAUSE_MS * 2 ** pauses, MACHINE_PAUSE_MOST_MS),
        wait_reason: 'retry_at',
      },
      events: [{ type: 'task.retried', data: { reason: 'machine', code } }],
    });
    return true;
  }

  /** Gives the task back for another worker to go on with at once; counts neither as a retry nor as a crash. */
  private async release(claimed: ClaimedTask, lease: Lease, session: TaskSession | null): Promise<void> {
    const run = session?.run ?? (await this.runs.find(claimed.id));
    if (run === null || run.epoch !== lease.epoch) return;
    const held = session ?? new TaskSession(run, lease, this.moves, () => this.clock.monotonicMs());
    await held.commit({
      to: 'queued',
      control: run.control,
      queue: { next_status: run.status, delay_ms: 0 },
      events: [{ type: 'task.retried', data: { reason: 'released' } }],
    });
  }
}
