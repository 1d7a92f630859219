import type {
  JSONObject,
  LanguageModelV3Content,
  LanguageModelV3FinishReason,
  LanguageModelV3StreamPart,
  LanguageModelV3Usage,
  SharedV3ProviderMetadata,
} from '@ai-sdk/provider';
import { storableJson, storableText } from '../../platform/database/index.js';
import { ANSWER_LIMITS } from './answer-limits.js';
import { AnswerParts } from './answer-parts.js';
import { finishReasonOf } from './finish-reason.js';
import type { ModelAnswer, ModelToolCall, ModelUsage, Returned } from './model-call.js';
import { ReportedInStreamError, UnusableAnswerError } from './model-failure.js';
import { estimateTokens } from './token-estimate.js';
import { plainCallId } from './tool-call-id.js';
import { isObject } from './wire/json-value.js';
import { reportedError } from './wire/reported-error.js';

/**
 * The provider metadata in which `CompatibleProvider` hands on what goes back to an endpoint, and as `leaked` how many characters of
 * the streamed text turned out to be thoughts.
 */
export const RETURNED = 'returned';
/** The provider options that its SDK adds to a message or a tool call as they are. */
const AS_THEY_ARE = 'openaiCompatible';

/** Of one answer, whatever a provider reports. */
const MOST_TOKENS = 1_000_000_000;

/** Characters of an endpoint's own name for an end. */
const LONGEST_NAME = 64;

/** Characters of text that are gathered before they are joined: each delta costs 16 bytes and more beside its own. */
const PART = 8_192;

/** One answer as it comes in: bounded in memory, its text storable. */
export class AnswerDraft {
  /** Grows without being copied: V8 keeps its parts until somebody reads the characters. */
  private joined = '';
  private recent: string[] = [];
  private recentLength = 0;
  private readonly toolCalls: ModelToolCall[] = [];
  private readonly ids = new Set<string>();
  private characters = 0;
  private announcedCalls = 0;
  /** The first half of a character that a chunk border has cut in two. */
  private half = '';
  private finish: LanguageModelV3FinishReason | undefined;
  private usage: LanguageModelV3Usage | undefined;
  private readonly parts = new AnswerParts();
  private metadata: SharedV3ProviderMetadata | undefined;
  private emitted = 0;

  constructor(private readonly onText: ((delta: string) => void) | undefined) {}

  get isFinished(): boolean {
    return this.finish !== undefined;
  }

  /** Whether the model had begun to answer. */
  get hasBegun(): boolean {
    return this.characters > 0;
  }

  /** What it has said so far. */
  get said(): string {
    return this.text;
  }

  /**
   * Takes the next part of a streamed answer.
   * @throws UnusableAnswerError past the limits, ReportedInStreamError for an `error` part.
   */
  add(part: LanguageModelV3StreamPart): void {
    switch (part.type) {
      case 'text-start':
        return this.parts.open('text', part.id, this.emitted, part.providerMetadata);
      case 'text-delta':
        this.addText(part.delta);
        return this.parts.add('text', part.id, this.emitted, '', part.providerMetadata);
      case 'text-end':
        return this.parts.close('text', part.id, part.providerMetadata);
      case 'reasoning-start':
        return this.parts.open('reasoning', part.id, this.emitted, part.providerMetadata);
      case 'reasoning-delta':
        this.count(part.delta.length);
        return this.parts.add('reasoning', part.id, this.emitted, part.delta, part.providerMetadata);
      case 'reasoning-end':
        return this.parts.close('reasoning', part.id, part.providerMetadata);
      case 'tool-input-delta':
        return this.count(part.delta.length);
      case 'tool-input-start':
        // Providers gather all calls before they give the first one, at a cost that grows with the square of their number.
        this.announcedCalls += 1;
        return this.limitCalls(this.announcedCalls);
      case 'tool-call':
        return this.addToolCall(part);
      case 'finish':
        this.finish = part.finishReason;
        this.usage = part.usage;
        this.metadata = part.providerMetadata;
        return;
      case 'error':
        throw failureIn(part.error);
      default:
    }
  }

  /** Takes a whole answer. */
  addAll(
    content: readonly LanguageModelV3Content[],
    finish: LanguageModelV3FinishReason,
    usage: LanguageModelV3Usage,
    metadata?: SharedV3ProviderMetadata,
  ): void {
    for (const [index, part] of content.entries()) {
      if (part.type === 'text' || part.type === 'reasoning') {
        const id = String(index);
        this.parts.open(part.type, id, this.emitted, part.providerMetadata);
        if (part.type === 'text') this.addText(part.text);
        else this.count(part.text.length);
        this.parts.add(part.type, id, this.emitted, part.text);
      } else if (part.type === 'tool-call') {
        this.count(part.input.length);
        this.addToolCall(part);
      }
    }
    this.finish = finish;
    this.usage = usage;
    this.metadata = metadata;
  }

  /**
   * The answer.
   * @throws UnusableAnswerError when it is not whole.
   */
  close(): Pick<ModelAnswer, 'text' | 'toolCalls' | 'finishReason' | 'finishName' | 'returned'> {
    if (this.half) this.emit(storableText(this.half));
    this.half = '';
    // Without a reason of the provider's own, a stream that merely stopped looks finished.
    if (!this.finish || (this.finish.unified === 'other' && this.finish.raw === undefined)) {
      throw new UnusableAnswerError('broke off in mid-answer');
    }
    const { toolCalls } = this;
    const leaked = this.metadata?.[RETURNED]?.leaked;
    const text = typeof leaked === 'number' ? this.text.slice(leaked) : this.text;
    const { raw, unified } = this.finish;
    // A refusal is an end by the provider's own words, whatever name it gives to it.
    const end = raw === undefined || unified === 'content-filter' ? unified : finishReasonOf(raw);
    if (end !== 'stop' && end !== 'tool-calls') {
      const name = storableText(raw ?? '').slice(0, LONGEST_NAME);
      return { text, toolCalls, finishReason: end, ...(name !== '' && { finishName: name }) };
    }
    if (unified === 'tool-calls' && toolCalls.length === 0 && text.trim() === '') {
      throw new UnusableAnswerError('announced tool calls and made none');
    }
    const returned = this.returned(text);
    return {
      text,
      toolCalls: this.withOwnFields(toolCalls),
      finishReason: toolCalls.length > 0 ? 'tool-calls' : 'stop',
      ...(returned && { returned }),
    };
  }

  private returned(text: string): Returned | null {
    const parts = this.parts.wanted(text);
    const message = this.handedOn('message');
    if (!parts && !message) return null;
    return { ...(parts && { parts }), ...(message && { message: { [AS_THEY_ARE]: message } }) };
  }

  /** The calls with the fields that an endpoint sent beside the usual ones. */
  private withOwnFields(calls: ModelToolCall[]): ModelToolCall[] {
    const fields = this.handedOn('calls');
    if (!fields) return calls;
    return calls.map((call, position) => {
      const own = fields[position];
      return isObject(own) ? { ...call, metadata: { ...call.metadata, [AS_THEY_ARE]: own as JSONObject } } : call;
    });
  }

  private handedOn(what: 'message' | 'calls'): JSONObject | null {
    const value = this.metadata?.[RETURNED]?.[what];
    return isObject(value) ? (storableJson(value) as JSONObject) : null;
  }

  /** What the provider counted, else our estimate. */
  spent(promptTokens: () => number): ModelUsage {
    const input = this.usage?.inputTokens.total;
    const output = this.usage?.outputTokens.total;
    const reported = isCount(input) && isCount(output) && (input > 0 || output > 0);
    if (reported) return { inputTokens: input, outputTokens: output, ...this.cached(input), estimated: false };
    return { inputTokens: promptTokens(), outputTokens: this.estimateOutput(), estimated: true };
  }

  /** The parts of the input that the provider read from its cache and wrote to it; none are left out. */
  private cached(input: number): Pick<ModelUsage, 'cachedInputTokens' | 'cacheWriteTokens'> {
    const within = (count: number | undefined, most: number): number => (isCount(count) ? Math.min(count, most) : 0);
    const read = within(this.usage?.inputTokens.cacheRead, input);
    const written = within(this.usage?.inputTokens.cacheWrite, input - read);
    return { ...(read > 0 && { cachedInputTokens: read }), ...(written > 0 && { cacheWriteTokens: written }) };
  }

  private get text(): string {
    return this.joined + this.recent.join('');
  }

  private estimateOutput(): number {
    const { text } = this;
    const unseen = this.characters - text.length;
    return estimateTokens(text) + Math.ceil(Math.max(0, unseen) / 4);
  }

  private addText(delta: string): void {
    this.count(delta.length);
    const whole = this.half + delta;
    const last = whole.charCodeAt(whole.length - 1);
    const isCut = last >= 0xd800 && last <= 0xdbff;
    this.half = isCut ? whole.slice(-1) : '';
    this.emit(storableText(isCut ? whole.slice(0, -1) : whole));
  }

  private emit(text: string): void {
    if (text.length === 0) return;
    this.emitted += text.length;
    this.recent.push(text);
    this.recentLength += text.length;
    if (this.recentLength >= PART) {
      this.joined = this.text;
      this.recent = [];
      this.recentLength = 0;
    }
    this.onText?.(text);
  }

  private addToolCall(call: {
    toolCallId: string;
    toolName: string;
    input: string;
    providerMetadata?: ModelToolCall['metadata'];
  }): void {
    this.limitCalls(this.toolCalls.length + 1);
    let id = storableText(call.toolCallId);
    for (let copy = 2; this.ids.has(id); copy += 1) id = plainCallId(`${call.toolCallId} ${copy}`);
    this.ids.add(id);
    this.parts.call(this.toolCalls.length);
    this.toolCalls.push({
      id,
      name: storableText(call.toolName),
      arguments: storableText(call.input),
      ...(call.providerMetadata && { metadata: call.providerMetadata }),
    });
  }

  private limitCalls(calls: number): void {
    if (calls > ANSWER_LIMITS.toolCalls) throw new UnusableAnswerError('asked for too many tool calls');
  }

  private count(characters: number): void {
    this.characters += characters;
    if (this.characters > ANSWER_LIMITS.characters)
      throw new UnusableAnswerError('answered with more than an answer may hold');
  }
}

/** The failure that an `error` part stands for: the SDK's own, or the provider's. */
function failureIn(error: unknown): Error {
  if (error instanceof Error) return error;
  return new ReportedInStreamError(reportedError({ error }, true) ?? { words: '', names: [] });
}

/** Counts are stored as whole numbers and added up; what no answer can have used is not believed. */
function isCount(value: number | undefined): value is number {
  return Number.isInteger(value) && value !== undefined && value >= 0 && value <= MOST_TOKENS;
}
