import type {
  LanguageModelV3Content,
  LanguageModelV3FinishReason,
  LanguageModelV3StreamPart,
  LanguageModelV3Usage,
} from '@ai-sdk/provider';
import { storableText } from '../../platform/database/index.js';
import { finishReasonOf } from './finish-reason.js';
import type { ModelAnswer, ModelToolCall, ModelUsage } from './model-call.js';
import { ReportedInStreamError, UnusableAnswerError } from './model-failure.js';
import { estimateTokens } from './token-estimate.js';

/** Of one answer, whatever a provider reports. */
const MOST_TOKENS = 1_000_000_000;

/** Characters of text, reasoning and arguments that one answer may hold, and tool calls. */
export const ANSWER_LIMITS = { characters: 4 << 20, toolCalls: 512 };

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

  constructor(private readonly onText: ((delta: string) => void) | undefined) {}

  get isFinished(): boolean {
    return this.finish !== undefined;
  }

  /** Whether the model had begun to answer. */
  get hasBegun(): boolean {
    return this.characters > 0;
  }

  /**
   * Takes the next part of a streamed answer.
   * @throws UnusableAnswerError past the limits, ReportedInStreamError for an `error` part.
   */
  add(part: LanguageModelV3StreamPart): void {
    switch (part.type) {
      case 'text-delta':
        return this.addText(part.delta);
      case 'reasoning-delta':
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
        return;
      case 'error':
        throw new ReportedInStreamError(part.error);
      default:
    }
  }

  /** Takes a whole answer. */
  addAll(
    content: readonly LanguageModelV3Content[],
    finish: LanguageModelV3FinishReason,
    usage: LanguageModelV3Usage,
  ): void {
    for (const part of content) {
      if (part.type === 'text') this.addText(part.text);
      else if (part.type === 'reasoning') this.count(part.text.length);
      else if (part.type === 'tool-call') {
        this.count(part.input.length);
        this.addToolCall(part);
      }
    }
    this.finish = finish;
    this.usage = usage;
  }

  /**
   * The answer.
   * @throws UnusableAnswerError when it is not whole.
   */
  close(): Pick<ModelAnswer, 'text' | 'toolCalls' | 'finishReason' | 'finishName'> {
    if (this.half) this.emit(storableText(this.half));
    this.half = '';
    // Without a reason of the provider's own, a stream that merely stopped looks finished.
    if (!this.finish || (this.finish.unified === 'other' && this.finish.raw === undefined)) {
      throw new UnusableAnswerError('broke off in mid-answer');
    }
    const { text, toolCalls } = this;
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
    return { text, toolCalls, finishReason: toolCalls.length > 0 ? 'tool-calls' : 'stop' };
  }

  /** What the provider counted, else our estimate. */
  spent(promptTokens: () => number): ModelUsage {
    const input = this.usage?.inputTokens.total;
    const output = this.usage?.outputTokens.total;
    const reported = isCount(input) && isCount(output) && (input > 0 || output > 0);
    if (reported) return { inputTokens: input, outputTokens: output, estimated: false };
    return { inputTokens: promptTokens(), outputTokens: this.estimateOutput(), estimated: true };
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
    for (let copy = 2; this.ids.has(id); copy += 1) id = `${storableText(call.toolCallId)}-${copy}`;
    this.ids.add(id);
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

/** Counts are stored as whole numbers and added up; what no answer can have used is not believed. */
function isCount(value: number | undefined): value is number {
  return Number.isInteger(value) && value !== undefined && value >= 0 && value <= MOST_TOKENS;
}
