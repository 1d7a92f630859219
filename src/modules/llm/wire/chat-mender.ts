import { finishReasonOf } from '../finish-reason.js';
import { ReportedInStreamError, UnusableAnswerError } from '../model-failure.js';
import { usageOf, type ChatUsage } from './chat-usage.js';
import { choiceIn, endIn } from './chat-choice.js';
import { contentPieces } from './content-pieces.js';
import { EndTokens } from './end-tokens.js';
import { InlineThoughts, type SaidOrThought } from './inline-thoughts.js';
import { textAt } from './json-texts.js';
import { isObject, parsedJson, type JsonObject } from './json-value.js';
import { closingMark } from './leaked-thoughts.js';
import { errorInWords, reportedError, type ReportedError } from './reported-error.js';
import { ReturnedFields } from './returned-fields.js';
import { ToolCallPieces, type ToolCallPiece } from './tool-call-pieces.js';

/** A chunk of a stream as the SDK reads it, and nothing beside that. */
export interface MendedChunk {
  choices: { index: 0; delta: MendedDelta; finish_reason: string | null }[];
  usage?: ChatUsage;
  /** With the last one: the parts of the answer that the endpoint wants back in the next prompt. */
  returned?: ReturnedParts;
  /** With the last one: how many characters of the text so far turned out to be thoughts. */
  leaked?: number;
}

interface MendedDelta {
  content?: string;
  reasoning_content?: string;
  refusal?: string;
  tool_calls?: ToolCallPiece[];
}

/** Parts of an answer that go back to its endpoint as they came. */
export interface ReturnedParts {
  /** Fields of the message. */
  message?: JsonObject;
  /** By the position of a tool call, fields of it. */
  calls?: Record<string, JsonObject>;
}

/**
 * Reads one answer of a chat completions endpoint, whatever the endpoint makes of the format: of each chunk it takes what it
 * knows, in whichever form, and leaves the rest.
 */
export class ChatMender {
  private readonly thoughts: InlineThoughts;
  private readonly tokens = new EndTokens();
  private readonly calls = new ToolCallPieces();
  private readonly returned = new ReturnedFields();
  /** Thoughts that came as parts of the content, and the text after them. */
  private readonly thoughtParts: JsonObject[] = [];
  private text = '';
  /** Characters at the start of the text that turned out to be thoughts. */
  private leaked = '';
  private hasContent = false;
  private hasReasoned = false;
  private finishReason: string | null = null;
  private usage: ChatUsage | null = null;
  private isRefused = false;
  /** The last words beside any answer: an error where it does not end. */
  private aside: ReportedError | null = null;

  /** `waits` says that the text may begin with thoughts of which only the end is marked. */
  constructor(waits = false) {
    this.thoughts = new InlineThoughts(waits);
  }

  /** Whether that was no normal end. */
  get hasFailed(): boolean {
    return this.finishReason !== null && finishReasonOf(this.finishReason) !== 'stop';
  }

  /** Whether the text began with thoughts of which only the end was marked; null where the answer does not tell. */
  get thinksAloud(): boolean | null {
    if (this.thoughts.hasWaited || this.leaked !== '') return true;
    const isTold =
      this.text.trim() !== '' && this.finishReason !== null && finishReasonOf(this.finishReason) === 'stop';
    return isTold || this.hasReasoned ? false : null;
  }

  /** Whether the endpoint has said how the answer ended. */
  get hasEnded(): boolean {
    return this.finishReason !== null;
  }

  /**
   * The next chunk, or a whole answer in the place of one; `json` is its text.
   * @throws ReportedInStreamError for an error, UnusableAnswerError past an answer's limits.
   */
  take(value: unknown, json: string, isWholeBody = false): MendedChunk | null {
    const found = isObject(value) ? choiceIn(value) : null;
    const reported = reportedError(found?.body ?? value, isWholeBody && !found) ?? errorInside(found?.choice);
    if (reported) throw new ReportedInStreamError(reported);
    if (!isObject(value)) return null;
    const usage = usageOf(found?.body ?? value, found?.choice);
    if (usage) this.usage = greater(this.usage, usage);
    this.note(endIn(value, found?.choice));
    if (!found) {
      if (!usage) this.aside = reportedError(value, true) ?? this.aside;
      return null;
    }
    const isWhole = found.place !== 'delta';
    const delta = isWhole ? this.messageOf(found.choice) : messageIn(found.choice.delta);
    const source = (): string | null => textAt(json, [...found.path, found.place, 'content']);
    return chunk(this.mend(delta, isWhole, source));
  }

  /** Takes words that came in the place of a chunk: an error, where no answer follows. */
  takeWords(words: string): void {
    this.aside = errorInWords(words);
  }

  /**
   * The end of the answer; `isMarked` says that the stream, or the body, had an end of its own.
   * @throws UnusableAnswerError when it has none, ReportedInStreamError for words in the place of an answer.
   */
  end(isMarked: boolean): MendedChunk[] {
    const delta: MendedDelta = {};
    this.say(delta, this.thoughts.end(!this.calls.isEmpty));
    const rest = this.tokens.end(this.text);
    if (rest !== '') addPieces(delta, [{ thought: false, text: rest }]);
    this.text += rest;
    this.takeLeak();
    const calls = this.calls.end();
    if (calls.length > 0) delta.tool_calls = calls;
    const isAnswered = this.text.trim() !== '' || !this.calls.isEmpty || this.isRefused;
    const reason = this.finishReason ?? (isMarked && isAnswered ? 'stop' : null);
    if (reason === null && this.aside) throw new ReportedInStreamError(this.aside);
    if (reason === null) throw new UnusableAnswerError('broke off in mid-answer');
    // The words of a refusal are no answer, however they end.
    const last = chunk(delta, this.isRefused && finishReasonOf(reason) === 'stop' ? 'refusal' : reason);
    if (this.usage) last.usage = this.usage;
    const returned = this.returnedParts();
    if (returned) last.returned = returned;
    if (this.leaked !== '') last.leaked = this.leaked.length;
    return [last];
  }

  private say(delta: MendedDelta, pieces: readonly SaidOrThought[]): void {
    for (const { thought, text } of pieces) {
      const passed = thought ? text : this.tokens.take(text);
      if (passed !== '') addPieces(delta, [{ thought, text: passed }]);
      if (!thought) this.text += passed;
    }
  }

  /** Tells thoughts from the text that has been passed on as such before its mark was seen. */
  private takeLeak(): void {
    const mark = this.hasReasoned || this.thoughts.raw !== '' ? null : closingMark(this.text);
    if (!mark?.isLeak) return;
    const answer = this.text.slice(mark.end).replace(/^\s+/, '');
    // Thoughts may be all that was said.
    if (answer === '' && this.calls.isEmpty) return;
    this.leaked = this.text.slice(0, this.text.length - answer.length);
    this.text = answer;
  }

  /** How the answer ends. A failure stays one, whatever is said after it. */
  private note(end: string | null): void {
    if (end !== null && !this.hasFailed) this.finishReason = end;
  }

  private mend(delta: JsonObject, isWhole: boolean, source: () => string | null): MendedDelta {
    const mended: MendedDelta = {};
    this.returned.add(delta);
    const reasoning = [delta.reasoning_content, delta.reasoning, delta.thinking, delta.reasoning_text].find(
      (text) => typeof text === 'string' && text !== '',
    );
    if (typeof reasoning === 'string') {
      mended.reasoning_content = reasoning;
      this.hasReasoned = true;
      this.thoughts.waitNoLonger();
    }
    const calls: unknown[] = [];
    let { refusal } = delta;
    for (const piece of contentPieces(delta.content, source)) {
      if (piece.part) this.addThoughtPart(piece.part, piece.text);
      if (piece.call) calls.push(piece.call);
      refusal ??= piece.refusal;
      this.hasContent ||= piece.text !== '';
      this.say(mended, piece.thought ? [piece] : this.thoughts.take(piece.text));
    }
    if (typeof refusal === 'string' && refusal !== '') {
      mended.refusal = refusal;
      this.isRefused = true;
    }
    const pieces = [
      ...this.calls.take(delta.tool_calls ?? delta.toolCalls ?? delta.function_call, isWhole),
      ...this.calls.take(calls, true),
    ];
    if (pieces.length > 0) mended.tool_calls = pieces;
    return mended;
  }

  /** A message, or a text, in the place of a delta; one that repeats what was said in deltas is no news. */
  private messageOf(choice: JsonObject): JsonObject {
    if (this.hasContent || !this.calls.isEmpty) return {};
    return messageIn(choice.message ?? choice.text);
  }

  private addThoughtPart(part: JsonObject, text: string): void {
    const last = this.thoughtParts.at(-1);
    const inner = last?.thinking;
    const first: unknown = Array.isArray(inner) ? inner[0] : undefined;
    if (isObject(first) && typeof first.text === 'string' && last?.type === part.type) first.text += text;
    else this.thoughtParts.push(structuredClone(part));
  }

  private returnedParts(): ReturnedParts | null {
    const message: JsonObject = { ...this.returned.all };
    if (this.thoughtParts.length > 0) {
      message.content = [...this.thoughtParts, ...(this.text === '' ? [] : [{ type: 'text', text: this.text }])];
    } else if (this.thoughts.raw + this.leaked !== '') {
      message.content = this.thoughts.raw + this.leaked + this.text;
    }
    const calls = this.calls.extras;
    const returned = {
      ...(Object.keys(message).length > 0 && { message }),
      ...(Object.keys(calls).length > 0 && { calls }),
    };
    return Object.keys(returned).length > 0 ? returned : null;
  }
}

/** A message, or the text that stands in its place. */
function messageIn(value: unknown): JsonObject {
  if (isObject(value)) return value;
  return typeof value === 'string' ? { content: value } : {};
}

/** An error that stands in a choice or in its message. */
function errorInside(choice: JsonObject | undefined): ReportedError | null {
  const place = [choice, choice?.message, choice?.delta].find(
    (one): one is JsonObject => isObject(one) && hasError(one),
  );
  return place ? reportedError(place) : null;
}

function hasError({ error }: JsonObject): boolean {
  return typeof error === 'string' || (typeof error === 'object' && error !== null);
}

/**
 * The chunks of a body of JSON: of one value, which is a whole answer or a list of chunks, or of a row of them. `isWhole` says
 * that the body is known to have come to its end.
 */
export function chunksOfBody(mender: ChatMender, texts: readonly string[], isWhole: boolean): MendedChunk[] {
  const chunks: MendedChunk[] = [];
  for (const text of texts) {
    const value = parsedJson(text);
    const values: unknown[] = Array.isArray(value) ? value : [value];
    for (const one of values) {
      const mended = mender.take(one, one === value ? text : JSON.stringify(one), true);
      if (mended) chunks.push(mended);
    }
  }
  if (chunks.length === 0 && !mender.hasFailed) throw new UnusableAnswerError('sent no answer', texts.join('\n'));
  return [...chunks, ...mender.end(isWhole)];
}

/** The greater of each count, since some endpoints count on, and some end with zeros. */
function greater(before: ChatUsage | null, usage: ChatUsage): ChatUsage {
  const counts: ChatUsage = { ...before };
  for (const [name, count] of Object.entries(usage) as [keyof ChatUsage, number][]) {
    counts[name] = Math.max(counts[name] ?? 0, count);
  }
  return counts;
}

/** Chunks of a stream as one whole answer. */
export function wholeOf(chunks: readonly MendedChunk[]): JsonObject {
  const message = { role: 'assistant', content: '', reasoning_content: '', refusal: '' };
  const calls: { id: string; type: 'function'; function: { name: string; arguments: string } }[] = [];
  const parts: Record<'content' | 'reasoning_content' | 'refusal', string[]> = {
    content: [],
    reasoning_content: [],
    refusal: [],
  };
  let finish: string | null = null;
  for (const { choices } of chunks) {
    for (const { delta, finish_reason: reason } of choices) {
      finish = reason ?? finish;
      for (const key of ['content', 'reasoning_content', 'refusal'] as const) parts[key].push(delta[key] ?? '');
      for (const { index, id, function: called } of delta.tool_calls ?? []) {
        const call = (calls[index] ??= { id: id ?? '', type: 'function', function: { name: '', arguments: '' } });
        call.function.name ||= called.name ?? '';
        call.function.arguments += called.arguments;
      }
    }
  }
  for (const key of ['content', 'reasoning_content', 'refusal'] as const) message[key] = parts[key].join('');
  const last = chunks.at(-1);
  return {
    choices: [
      { index: 0, message: { ...message, ...(calls.length > 0 && { tool_calls: calls }) }, finish_reason: finish },
    ],
    ...(last?.usage && { usage: last.usage }),
    ...(last?.returned && { returned: last.returned }),
  };
}

function chunk(delta: MendedDelta, finishReason: string | null = null): MendedChunk {
  return { choices: [{ index: 0, delta, finish_reason: finishReason }] };
}

function addPieces(delta: MendedDelta, pieces: readonly SaidOrThought[]): void {
  for (const { thought, text } of pieces) {
    const key = thought ? 'reasoning_content' : 'content';
    delta[key] = (delta[key] ?? '') + text;
  }
}
