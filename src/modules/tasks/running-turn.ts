import type { CallSpend, LoopHooks, ToolCallRecord } from '../loop/index.js';
import { storableText } from '../../platform/database/index.js';
import type { Spending } from '../tools/index.js';
import { TurnLog } from './stream/turn-log.js';
import { TurnStoppedError, type TurnError, type TurnOutcome } from './turn.js';
import { UnsavedText, type Mark, type NewText } from './stream/unsaved-text.js';

/** How long a turn that needs readers goes on without one. */
const UNREAD_MS = 1_000;
/** Characters that one turn may say in all. */
const MOST_SAID = 4_194_304;

/** An answer longer than any client has use for. */
export class AnswerTooLongError extends Error {
  override readonly name = 'AnswerTooLongError';
}

/** Asks the caller's limits about a further model call. */
export class SpendingRefusedError extends Error {
  override readonly name = 'SpendingRefusedError';
}

/** A turn that this process runs, or ran in the last minutes: what it did, its readers, and the means to stop it. */
export class RunningTurn {
  readonly log = new TurnLog();
  private readonly controller = new AbortController();
  private readonly toolCalls: { call: ToolCallRecord; place: number }[] = [];
  private said = 0;
  private half = '';
  private settled = false;
  private inputTokens = 0;
  private cachedInputTokens = 0;
  private outputTokens = 0;
  private costUsd: number | null = 0;
  private readers = 0;
  private unread: NodeJS.Timeout | null = null;
  private readonly unstored = new UnsavedText((from) => this.log.textFrom(from));
  /** When its lease was last taken or renewed, in monotonic milliseconds. */
  leasedAtMs = 0;
  /** Resolves, never rejects, when its end is stored, or can be stored no more. */
  done: Promise<void> = Promise.resolve();

  constructor(
    readonly id: string,
    readonly agentId: string,
    readonly epoch: number,
    /** The model that is asked first, until one has answered. */
    private model: string | null,
    private readonly needsReaders: boolean,
    private readonly spending: Spending | undefined,
    /** Whether a tool has this name. */
    private readonly isTool: (name: string) => boolean,
  ) {}

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Ends the turn; what was said is kept. */
  stop(status: 'failed' | 'cancelled', error: TurnError): void {
    this.controller.abort(new TurnStoppedError(status, error));
  }

  /** Notes a reader; the returned function, to be called once, that it has gone. */
  read(): () => void {
    this.readers += 1;
    if (this.unread !== null) clearTimeout(this.unread);
    this.unread = null;
    return () => {
      this.readers -= 1;
      if (this.readers > 0 || !this.needsReaders || this.settled) return;
      const unread = { code: 'cancelled', message: 'Nobody reads the answer any more.' };
      this.unread = setTimeout(() => this.stop('cancelled', unread), UNREAD_MS);
      this.unread.unref();
    };
  }

  readonly hooks: LoopHooks = {
    beforeCall: async (model, call) => {
      try {
        await this.spending?.beforeCall(model, call);
      } catch (error) {
        throw new SpendingRefusedError('The work that asked for this answer may spend no more.', { cause: error });
      }
    },
    afterCall: async (spend, call) => {
      this.count(spend);
      await this.spending?.afterCall(spend, call);
    },
    endCall: (call) => this.spending?.endCall(call),
    onText: (delta) => {
      this.said += delta.length;
      if (this.said > MOST_SAID) throw new AnswerTooLongError('The answer is too long.');
      // A character may come in two halves, of which neither can be stored.
      const text = this.half + delta;
      this.half = /[\ud800-\udbff]$/.exec(text)?.[0] ?? '';
      this.say(text.slice(0, text.length - this.half.length));
    },
    // A model may ask for tools that do not exist by any name it likes; its words belong into `t` alone.
    onStep: (step) => this.log.status({ ...step, step: this.isStep(step.step) ? step.step : 'unknown_tool' }),
    onToolCall: (call, place) => void this.toolCalls.push({ call, place }),
  };

  /** The end of the turn as it is stored now; `events` more are to come. */
  outcome(status: TurnOutcome['status'], error: TurnError | null): TurnOutcome {
    const { lastId } = this.log;
    const { said, after } = this.unstored.read();
    return {
      status,
      said,
      after,
      toolCalls: this.toolCalls.toSorted((a, b) => a.place - b.place).map(({ call }) => call),
      error,
      model: this.model,
      inputTokens: this.inputTokens,
      cachedInputTokens: this.cachedInputTokens,
      outputTokens: this.outputTokens,
      costUsd: this.costUsd,
      eventId: this.log.ended ? lastId : lastId + (error === null ? 1 : 2),
    };
  }

  /** The content of the next checkpoint. */
  progress(): NewText & { eventId: number } {
    const unstored = this.unstored.read();
    return { ...unstored, eventId: unstored.said === '' ? 0 : this.log.textId };
  }

  /** A checkpoint has stored what was said up to `end`. */
  confirm(end: Mark): void {
    this.unstored.confirm(end);
  }

  /** The loop has ended: nothing more is said, and no reader's leaving stops it any more. */
  settle(): void {
    if (this.unread !== null) clearTimeout(this.unread);
    this.unread = null;
    this.settled = true;
    this.say(this.half);
    this.half = '';
  }

  /** Adds words of the service's own to what was said. */
  note(text: string): void {
    this.say(this.half);
    this.half = '';
    this.say(this.said === 0 ? text : `\n\n${text}`);
  }

  private say(text: string): void {
    if (text === '') return;
    this.log.say(storableText(text));
  }

  private isStep(name: string): boolean {
    return name === 'model' || name === 'generating' || this.isTool(name);
  }

  private count({ model, usage, costUsd }: CallSpend): void {
    this.model = model;
    this.inputTokens += usage.inputTokens;
    this.cachedInputTokens += usage.cachedInputTokens ?? 0;
    this.outputTokens += usage.outputTokens;
    this.costUsd = this.costUsd === null || costUsd === null ? null : this.costUsd + costUsd;
  }
}
