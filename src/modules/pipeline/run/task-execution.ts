import PQueue from 'p-queue';
import type { TreeDiff, WorkTree } from '../../tools/index.js';
import { LeaseLostError, type Lease } from '../store/lease.js';
import type { FindingWrite, Transition, Spent, StageWrite } from '../store/transition.js';
import { type Situation, situationOf } from '../rules/situation.js';
import { shownTraps } from '../rules/task-control.js';
import type { TransitionsRepository } from '../store/transitions.repository.js';
import type { KnownFinding, StageHistoryRecord, LoadedTask } from '../store/loaded-tasks.repository.js';
import type { AbandonedStage } from '../store/task-spends.repository.js';

/** A task as a stage's end leaves it, before that is stored: what is decided from and told of it. */
export type ForeseenTask = Pick<TaskExecution, 'task' | 'situation' | 'tree' | 'diff' | 'changedFiles'>;

/** What a transition writes of a task's stages and findings. */
type Written = Partial<Pick<Transition, 'stages' | 'end_running_stages' | 'findings' | 'resolve'>>;

const NOTHING: Readonly<Spent> = {
  input_tokens: 0,
  cached_input_tokens: 0,
  output_tokens: 0,
  cost_usd: 0,
  promised_usd: 0,
};

/**
 * One worker's stay with one task: what was loaded, brought up to date by every commit and by nothing else. Commits of the
 * members of a parallel group take turns through `exclusive`.
 */
export class TaskExecution {
  /** Whether the task may write, so that the first call that needs a tree makes one. */
  mayMakeTree = false;
  /** The task's own files; null until it has some. */
  tree: WorkTree | null = null;
  /** The tree while it is being made. */
  making: Promise<WorkTree> | null = null;
  /** How the tree differs from its base, once that was looked at. */
  diff: TreeDiff | null = null;
  /** Text of the changed files by path, for the artifacts of a task that is published. */
  readonly changedFiles = new Map<string, string>();
  /** Stages that had used something and whose end could not be stored, since the lease was lost. */
  readonly abandoned: AbandonedStage[] = [];
  private unaccounted: Spent = NOTHING;
  private reservedUsd: number;
  private sinceMs: number | null = null;
  private readonly writes = new PQueue({ concurrency: 1 });

  constructor(
    readonly task: LoadedTask,
    readonly lease: Lease,
    private readonly transitions: Pick<TransitionsRepository, 'commit'>,
    private readonly monotonicMs: () => number,
  ) {
    this.reservedUsd = task.grantedUsd + task.promisedUsd;
  }

  get situation(): Situation {
    return situationOf(this.task);
  }

  /** The row of `role`'s present attempt. */
  stage(id: string): StageHistoryRecord | undefined {
    return this.task.stages.find((stage) => stage.id === id);
  }

  /** The task as it will be once `written` is stored. */
  foresee(written: Written): ForeseenTask {
    const task = { ...this.task, ...after(this.task, written) };
    return { task, situation: situationOf(task), tree: this.tree, diff: this.diff, changedFiles: this.changedFiles };
  }

  /** Notes how the tree differs from its base; the next commit stores the hash, and what git would obey. */
  measured(diff: TreeDiff): void {
    this.diff = diff;
    const { traps: _before, ...control } = this.task.control;
    this.task.control = {
      ...control,
      diffHash: diff.files.length > 0 ? diff.contentHash : null,
      ...(diff.traps && { traps: shownTraps(diff.traps) }),
    };
  }

  /** Runs `work` after everything that was asked for earlier has ended. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    return this.writes.add(work);
  }

  /**
   * USD spent so far, promised to calls under way, also to those that killed workers had, and given to work that tools
   * started.
   */
  get committedUsd(): number {
    return this.task.costUsd + this.reservedUsd;
  }

  /** Counts `usd` as promised to a call that is about to be made, or given away; negative to take it back. */
  reserve(usd: number): void {
    this.reservedUsd += usd;
  }

  /** Releases the `usd` reserved in `tasks.promised_usd` for a call that has ended; the next write stores it. */
  endPromise(usd: number): void {
    this.reserve(-usd);
    this.giveBack({ ...NOTHING, promised_usd: -usd });
  }

  /** A model call used this much; the next write of the task stores it. */
  account(spent: Spent): void {
    this.task.inputTokens += spent.input_tokens;
    this.task.outputTokens += spent.output_tokens;
    this.task.costUsd += spent.cost_usd;
    this.giveBack(spent);
  }

  /** What was used since the last write; the caller writes it, or gives it back. */
  takeSpent(): Spent {
    const spent = this.unaccounted;
    this.unaccounted = NOTHING;
    return spent;
  }

  /** Puts usage back after a failed or uncertain write. Over-counting is preferred to losing it. */
  giveBack(spent: Spent): void {
    const { unaccounted } = this;
    this.unaccounted = {
      input_tokens: unaccounted.input_tokens + spent.input_tokens,
      cached_input_tokens: unaccounted.cached_input_tokens + spent.cached_input_tokens,
      output_tokens: unaccounted.output_tokens + spent.output_tokens,
      cost_usd: unaccounted.cost_usd + spent.cost_usd,
      promised_usd: unaccounted.promised_usd + spent.promised_usd,
    };
  }

  /** Time inside stages counts from here to the next commit that says otherwise. */
  startTiming(): void {
    this.sinceMs = this.monotonicMs();
  }

  /** Milliseconds inside stages, those not yet written included. */
  get executionMs(): number {
    return this.task.executionMs + (this.sinceMs === null ? 0 : Math.round(this.monotonicMs() - this.sinceMs));
  }

  /**
   * Applies a transition under the lease.
   * @throws LeaseLostError when the lease no longer holds; nothing may be written after that.
   */
  async commit(transition: Omit<Transition, 'task_id' | 'from' | 'guard' | 'spent'>): Promise<void> {
    const executionMs = this.executionMs;
    const timed = executionMs - this.task.executionMs;
    const spent = { ...this.takeSpent(), execution_ms: timed };
    const applied = await this.transitions
      .commit(
        {
          ...transition,
          task_id: this.task.id,
          from: this.task.status,
          guard: { epoch: this.lease.epoch, version: this.lease.version },
          spent,
        },
        this.lease.signal.aborted ? undefined : this.lease.signal,
      )
      .catch((error: unknown) => {
        this.giveBack(spent);
        throw error;
      });
    if (!applied) {
      this.giveBack(spent);
      this.abandoned.push(...(transition.stages ?? []).filter(isEnd));
      this.lease.lose('Another holder has the task.');
      throw new LeaseLostError('Another holder has the task.');
    }
    if (transition.stage_crashes === 0) this.lease.crashed = false;
    this.apply(transition, executionMs);
  }

  /** Brings this copy up to a transition that is stored: the only place where what a transition writes comes into it. */
  private apply(stored: Written & Pick<Transition, 'to' | 'control'>, executionMs: number): void {
    this.lease.version += 1;
    Object.assign(this.task, after(this.task, stored), { status: stored.to, control: stored.control, executionMs });
    if (this.sinceMs !== null) this.sinceMs = this.monotonicMs();
  }
}

/** Stages and findings of `task` after `written`, as they would be loaded. */
function after(task: LoadedTask, written: Written): Pick<LoadedTask, 'stages' | 'findings'> {
  const { stages: writes = [], end_running_stages: end, findings: found = [], resolve = [] } = written;
  const stages = new Map(task.stages.map((stage) => [stage.id, stage]));
  for (const stage of task.stages) {
    if (end === undefined || stage.status !== 'running') continue;
    stages.set(stage.id, { ...stage, status: end.status, error: end.error, errorCode: end.error_code });
  }
  for (const write of writes) stages.set(write.id, stageRecord(write));
  const isResolved = (finding: KnownFinding): boolean =>
    resolve.some(
      ({ ids, before_iteration: before }) =>
        (ids === undefined || ids.includes(finding.id)) && (before === undefined || finding.iteration < before),
    );
  const known = task.findings.map((finding) => ({ ...finding, open: finding.open && !isResolved(finding) }));
  return { stages: [...stages.values()], findings: [...known, ...found.map(knownFinding)] };
}

function stageRecord(write: StageWrite): StageHistoryRecord {
  return {
    id: write.id,
    role: write.role,
    position: write.position,
    iteration: write.iteration,
    attempt: write.attempt,
    status: write.status,
    output: write.output ?? null,
    error: write.error ?? null,
    errorCode: write.error_code ?? null,
  };
}

function knownFinding(write: FindingWrite): KnownFinding {
  return {
    id: write.id,
    type: write.finding_type,
    severity: write.severity,
    deterministic: write.deterministic,
    iteration: write.iteration,
    open: true,
  };
}

function isEnd(stage: StageWrite): boolean {
  return stage.status !== 'running';
}
