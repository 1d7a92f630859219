import type { LanguageModelV3Prompt } from '@ai-sdk/provider';
import { storableJson, storableText } from '../../platform/database/index.js';
import {
  plainCallId,
  type LlmService,
  type ModelAnswer,
  type ModelCall,
  type ModelToolCall,
  type ModelUsage,
} from '../llm/index.js';
import type { OfferedTools } from '../tools/index.js';
import { JournalCursor, type LoopJournal } from './journal.js';

/** What one model call consumed. */
export interface CallSpend {
  model: string;
  usage: ModelUsage;
  /** USD; null when the model's price is not known. */
  costUsd: number | null;
  /** The call gave no answer, and its usage is known all the same. */
  failed: boolean;
}

/** Progress for readers: `model`, the name of a tool, or `generating`. Times are milliseconds. */
export interface LoopStep {
  step: string;
  state: 'running' | 'done';
  detail?: string;
  elapsed_ms?: number;
}

/** A tool call as results show it. `arguments` is the parsed JSON, or the text itself where it is none. */
export interface ToolCallRecord {
  id: string;
  name: string;
  arguments: unknown;
  result: string;
  isError: boolean;
  durationMs: number;
}

/** Called as things happen, never for what is replayed from a journal. A rejection or a throw ends the loop with it. */
export interface LoopHooks {
  /** Before each model of the chain that `call` asks; a cost limit refuses by rejecting. */
  beforeCall?(model: string, call: ModelCall): Promise<void>;
  /** After each model of `call` whose usage is known, failed ones too, and before its answer is journalled. */
  afterCall?(spend: CallSpend, call: ModelCall): Promise<void> | void;
  /** `call` has settled, answered or not: it will ask no further model. */
  endCall?(call: ModelCall): void;
  /** The tools of a conversation that begins: those that are shown, and those that are left out. */
  onTools?(shelf: OfferedTools): void;
  onText?(delta: string): void;
  onStep?(step: LoopStep): void;
  /**
   * Once for each call that was answered, also for those that were not run: calls that ran together as each of them ends.
   * `place` grows in the order in which the models asked for them.
   */
  onToolCall?(call: ToolCallRecord, place: number): void;
}

export interface ModelSessionOptions {
  llm: Pick<LlmService, 'call'>;
  /** The model and its fallbacks, as they are addressed. */
  chain: readonly string[];
  temperature?: number | undefined;
  /** Tokens of one answer. */
  maxOutputTokens?: number | undefined;
  signal: AbortSignal;
  journal?: LoopJournal | undefined;
  hooks?: LoopHooks | undefined;
}

/** An answer, and whether an earlier attempt got it. */
export interface SessionAnswer {
  answer: ModelAnswer;
  replayed: boolean;
}

const TOOL_CALL_ID = /^[\w.:-]{1,64}$/;

/**
 * One conversation's calls to models: journal, hooks, totals. A stage's tool rounds and its structured answer share one
 * session, so that they share one journal.
 */
export class ModelSession {
  readonly hooks: LoopHooks;
  readonly signal: AbortSignal;
  readonly journal: JournalCursor;
  /** The model of the newest answer. */
  model: string | null = null;
  private readonly spent: ModelUsage = { inputTokens: 0, outputTokens: 0, estimated: false };
  private cost: number | null = 0;
  /** Ids of calls by their place; those of the prompt are among them. */
  private readonly toolCallIds = new Map<string, number>();

  constructor(private readonly options: ModelSessionOptions) {
    this.hooks = options.hooks ?? {};
    this.signal = options.signal;
    this.journal = new JournalCursor(options.journal);
  }

  /** Tokens of all calls, replayed ones and failed ones of this attempt included. */
  get usage(): ModelUsage {
    return { ...this.spent };
  }

  /** Whether the next answer comes from the journal. */
  get isReplaying(): boolean {
    return this.journal.hasAnswer;
  }

  /** USD of the same calls; null when a price was not known. */
  get costUsd(): number | null {
    return this.cost;
  }

  /** Where a call that was asked for stands among all calls of the session. */
  placeOf(callId: string): number {
    return this.toolCallIds.get(callId) ?? this.toolCallIds.size;
  }

  /**
   * The next recorded answer, else the model's. Its texts are storable and its tool call ids unique in the session. The
   * answer is recorded unless `isLast` says that nothing will follow it.
   * @throws ModelCallError, what a hook or the journal throws, `signal.reason`.
   */
  async ask(
    call: Pick<ModelCall, 'prompt' | 'tools' | 'responseSchema' | 'onText'>,
    isLast: (answer: ModelAnswer) => boolean,
  ): Promise<SessionAnswer> {
    this.signal.throwIfAborted();
    this.reserveIds(call.prompt);
    const recorded = this.journal.takeAnswer();
    if (recorded !== null) {
      this.count(recorded.model, recorded.usage, recorded.costUsd);
      for (const { id } of recorded.toolCalls) this.reserveId(id);
      return { answer: recorded, replayed: true };
    }
    const answer = this.normalised(await this.callModel(call));
    if (!isLast(answer)) await this.journal.recordAnswer(answer);
    return { answer, replayed: false };
  }

  private async callModel(
    parts: Pick<ModelCall, 'prompt' | 'tools' | 'responseSchema' | 'onText'>,
  ): Promise<ModelAnswer> {
    const { llm, chain, temperature, maxOutputTokens } = this.options;
    const call: ModelCall = { ...parts, signal: this.signal };
    if (temperature !== undefined) call.temperature = temperature;
    const limit = (tokens: number | undefined): void => {
      delete call.maxOutputTokens;
      if (tokens !== undefined) call.maxOutputTokens = tokens;
    };
    limit(maxOutputTokens);
    const lost: Omit<CallSpend, 'failed'>[] = [];
    const countLost = async (): Promise<void> => {
      for (const spend of lost.splice(0)) await this.spend({ ...spend, failed: true }, call);
    };
    call.onLost = ({ model, usage, costUsd }) => void lost.push({ model, usage, costUsd });
    call.beforeModel = async (model, request) => {
      await countLost();
      limit(request ? request.maxOutputTokens : maxOutputTokens);
      await this.hooks.beforeCall?.(model, call);
    };
    try {
      const answer = await llm.call(chain, call);
      await countLost();
      const { model, usage, costUsd } = answer;
      await this.spend({ model, usage, costUsd, failed: false }, call);
      return answer;
    } catch (error) {
      await countLost();
      throw error;
    } finally {
      this.hooks.endCall?.(call);
    }
  }

  /** Counts what was consumed, answered or not. */
  private async spend(spend: CallSpend, call: ModelCall): Promise<void> {
    const { model, usage, costUsd, failed } = spend;
    this.count(failed ? (this.model ?? model) : model, usage, costUsd);
    await this.hooks.afterCall?.(spend, call);
  }

  private count(model: string, usage: ModelUsage, costUsd: number | null): void {
    this.model = model;
    this.spent.inputTokens += usage.inputTokens;
    this.spent.outputTokens += usage.outputTokens;
    for (const key of ['cachedInputTokens', 'cacheWriteTokens'] as const) {
      if (usage[key] !== undefined) this.spent[key] = (this.spent[key] ?? 0) + usage[key];
    }
    this.spent.estimated ||= usage.estimated;
    this.cost = this.cost === null || costUsd === null ? null : this.cost + costUsd;
  }

  private normalised(answer: ModelAnswer): ModelAnswer {
    return {
      model: answer.model,
      text: answer.text,
      toolCalls: answer.toolCalls.map((call) => this.withUniqueId(call)),
      finishReason: answer.finishReason,
      ...(answer.finishName !== undefined && { finishName: storableText(answer.finishName) }),
      usage: answer.usage,
      costUsd: answer.costUsd,
      ...(answer.returned && { returned: storableJson(answer.returned) }),
    };
  }

  /** Models repeat ids, leave them out, and write ones that nobody would take back. */
  private withUniqueId(call: ModelToolCall): ModelToolCall {
    let { id } = call;
    for (let n = 2; this.toolCallIds.has(id) || !TOOL_CALL_ID.test(id); n += 1) id = plainCallId(`${call.id} ${n}`);
    this.reserveId(id);
    return {
      id,
      name: storableText(call.name),
      arguments: storableText(call.arguments),
      ...(call.metadata ? { metadata: storableJson(call.metadata) } : {}),
    };
  }

  private reserveIds(prompt: LanguageModelV3Prompt): void {
    for (const message of prompt) {
      if (message.role !== 'assistant') continue;
      for (const part of message.content) if (part.type === 'tool-call') this.reserveId(part.toolCallId);
    }
  }

  private reserveId(id: string): void {
    if (!this.toolCallIds.has(id)) this.toolCallIds.set(id, this.toolCallIds.size);
  }
}
