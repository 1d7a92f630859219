import type { CallSpend } from '../../loop/index.js';
import type { LlmService, ModelCall } from '../../llm/index.js';
import type { StageEntry } from '../store/journal.repository.js';
import type { StageOutcome } from './stage-outcome.js';
import type { TaskExecution } from './task-execution.js';

/** The next model call could take the task over its cost limit. */
export class CostLimitReachedError extends Error {
  override readonly name = 'CostLimitReachedError';
  constructor(readonly details: { spent_usd: number; asked_usd: number; limit_usd: number }) {
    super(
      `The next model call may cost up to ${details.asked_usd.toFixed(6)} USD; ${details.spent_usd.toFixed(6)} of ` +
        `${details.limit_usd.toFixed(6)} USD are spent or promised.`,
    );
  }
}

/** A task with a cost limit asked for a model of which nobody knows what a call costs at the most. */
export class PriceUnknownError extends Error {
  override readonly name = 'PriceUnknownError';
}

interface Stored {
  /** So much may the call cost that is about to be made. */
  promise(usd: number): Promise<void>;
  /** So much is given away. */
  grant(usd: number): Promise<void>;
}

/**
 * Counts what a stage uses and refuses a call that could take its task over the limit: the most that the next model of a
 * call can cost is promised before it is asked, so that calls under way together cannot overspend together, and stored, so
 * that what the provider bills for a killed worker is counted.
 */
export class StageBudget {
  private readonly reservations = new Map<ModelCall, number>();
  private model: string | null = null;
  private inputTokens = 0;
  private cachedInputTokens = 0;
  private outputTokens = 0;
  private costUsd: number | null = 0;
  private estimated = false;

  constructor(
    private readonly execution: TaskExecution,
    private readonly llm: Pick<LlmService, 'worstCaseCostUsd'>,
    recorded: readonly StageEntry[],
    /** Stores what is taken off the task's limit. */
    private readonly store: Stored,
  ) {
    for (const entry of recorded) {
      if (entry.kind === 'answer' && !entry.carried) this.count({ ...entry.answer, failed: false });
    }
  }

  /** What the stage's attempt used so far, also before a crash. */
  get used(): Omit<StageOutcome['used'], 'durationMs'> {
    const { model, inputTokens, cachedInputTokens, outputTokens, costUsd, estimated } = this;
    return { model, inputTokens, cachedInputTokens, outputTokens, costUsd, estimated };
  }

  /** @throws CostLimitReachedError, PriceUnknownError, what storing the promise throws. */
  async beforeCall(model: string, call: ModelCall): Promise<void> {
    this.endCall(call);
    const limit = this.execution.task.control.costLimitUsd;
    if (limit === null) return;
    const asked = this.llm.worstCaseCostUsd(model, call);
    if (asked === null)
      throw new PriceUnknownError(`The task has a cost limit and the most that a call of ${model} costs is not known.`);
    const spent = this.execution.committedUsd;
    // Written so that a sum which is no number refuses the call.
    if (!(spent + asked <= limit))
      throw new CostLimitReachedError({ spent_usd: spent, asked_usd: asked, limit_usd: limit });
    this.execution.reserve(asked);
    try {
      await this.store.promise(asked);
    } catch (error) {
      this.execution.reserve(-asked);
      throw error;
    }
    this.reservations.set(call, asked);
  }

  afterCall(spend: CallSpend, call: ModelCall): void {
    this.count(spend);
    this.execution.account({
      input_tokens: spend.usage.inputTokens,
      cached_input_tokens: spend.usage.cachedInputTokens ?? 0,
      output_tokens: spend.usage.outputTokens,
      cost_usd: spend.costUsd ?? 0,
      promised_usd: 0,
    });
    this.endCall(call);
  }

  /** Gives back what was promised to a call that asks no further model. */
  endCall(call: ModelCall): void {
    const promised = this.reservations.get(call);
    if (promised === undefined) return;
    this.execution.endPromise(promised);
    this.reservations.delete(call);
  }

  /**
   * Half of what is left of the task's limit, for a task that a tool of the stage starts; null without a limit. It stays given
   * away, so that however many are started, and by however many workers in turn, together they stay within the limit.
   * @throws what storing it throws; it is given away all the same.
   */
  async grantUsd(): Promise<number | null> {
    const limit = this.execution.task.control.costLimitUsd;
    if (limit === null) return null;
    const granted = Math.max(0, limit - this.execution.committedUsd) / 2;
    this.execution.reserve(granted);
    await this.store.grant(granted);
    return granted;
  }

  private count(spend: CallSpend): void {
    this.model = spend.model;
    this.inputTokens += spend.usage.inputTokens;
    this.cachedInputTokens += spend.usage.cachedInputTokens ?? 0;
    this.outputTokens += spend.usage.outputTokens;
    this.estimated ||= spend.usage.estimated;
    this.costUsd = this.costUsd === null || spend.costUsd === null ? null : this.costUsd + spend.costUsd;
  }
}
