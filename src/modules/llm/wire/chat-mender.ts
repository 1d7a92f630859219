import { finishReasonOf } from '../finish-reason.js';
import { ReportedInStreamError, UnusableAnswerError } from '../model-failure.js';
import { usageOf, type ChatUsage } from './chat-usage.js';
import { InlineThoughts, type SaidOrThought } from './inline-thoughts.js';
import { isObject, wordsOf, type JsonObject } from './json-value.js';
import { reportedError, type ReportedError } from './reported-error.js';
import { ReturnedFields } from './returned-fields.js';
import { ToolCallPieces, type ToolCallPiece } from './tool-call-pieces.js';

/** A chunk of a stream as the SDK reads it, and nothing beside that. */
export interface MendedChunk {
  choices: { index: 0; delta: MendedDelta; finish_reason: string | null }[];
  usage?: ChatUsage;
  /** With the last one: the parts of the answer that the endpoint wants back in the next prompt. */
  returned?: ReturnedParts;
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

/** The kinds of a message's parts that hold thoughts, sealed ones too. */
const THOUGHT = /think|thought|reason/i;

/** A part of a message: said, thought, or of no interest. */
interface ContentPiece extends SaidOrThought {
  /** The part itself, where it is a thought in a list of parts. */
  part?: JsonObject;
}

/**
 * Reads one answer of a chat completions endpoint, whatever the endpoint makes of the format: of each chunk it takes what it
 * knows, in whichever form, and leaves the rest.
 */
export class ChatMender {
  private readonly thoughts = new InlineThoughts();
  private readonly calls = new ToolCallPieces();
  private readonly returned = new ReturnedFields();
  /** Thoughts that came as parts of the content, and the text after them. */
  private readonly thoughtParts: JsonObject[] = [];
  private text = '';
  private finishReason: string | null = null;
  private usage: ChatUsage | null = null;
  private isRefused = false;
  /** The first words beside any answer: an error where none follows. */
  private aside: ReportedError | null = null;

  /** Whether the endpoint has said how the answer ended. */
  get hasEnded(): boolean {
    return this.finishReason !== null;
  }

  /**
   * The next chunk, or a whole answer in the place of one.
   * @throws ReportedInStreamError for an error, UnusableAnswerError past an answer's limits.
   */
  take(value: unknown, isWholeBody = false): MendedChunk | null {
    const choices = isObject(value) ? choicesOf(value) : [];
    const choice = choices.find(({ index }) => Number(index ?? 0) === 0) ?? choices[0];
    const reported = reportedError(value, isWholeBody) ?? (isObject(choice?.error) ? reportedError(choice) : null);
    if (reported) throw new ReportedInStreamError(reported);
    if (!isObject(value)) return null;
    const usage = usageOf(value, choice);
    if (usage) this.usage = greater(this.usage, usage);
    if (!choice) {
      if (!usage) this.aside ??= reportedError(value, true);
      return null;
    }
    const reason = nameOfEnd(choice.finish_reason ?? choice.finishReason);
    if (reason !== null) this.finishReason = reason;
    const isWhole = !isObject(choice.delta);
    const delta = isWhole ? this.messageOf(choice) : (choice.delta as JsonObject);
    return chunk(this.mend(delta, isWhole));
  }

  /**
   * The end of the answer; `isMarked` says that the stream, or the body, had an end of its own.
   * @throws UnusableAnswerError when it has none, ReportedInStreamError for words in the place of an answer.
   */
  end(isMarked: boolean): MendedChunk[] {
    const delta: MendedDelta = {};
    addPieces(delta, this.thoughts.end(!this.calls.isEmpty));
    this.text += delta.content ?? '';
    const calls = this.calls.end();
    if (calls.length > 0) delta.tool_calls = calls;
    const isAnswered = this.text.trim() !== '' || !this.calls.isEmpty || this.isRefused;
    const reason = this.finishReason ?? (isMarked && isAnswered ? 'stop' : null);
    if (!isAnswered && reason === null && this.aside) throw new ReportedInStreamError(this.aside);
    if (reason === null) throw new UnusableAnswerError('broke off in mid-answer');
    // The words of a refusal are no answer, however they end.
    const last = chunk(delta, this.isRefused && finishReasonOf(reason) === 'stop' ? 'refusal' : reason);
    if (this.usage) last.usage = this.usage;
    const returned = this.returnedParts();
    if (returned) last.returned = returned;
    return [last];
  }

  private mend(delta: JsonObject, isWhole: boolean): MendedDelta {
    const mended: MendedDelta = {};
    this.returned.add(delta);
    const reasoning = [delta.reasoning_content, delta.reasoning, delta.thinking, delta.reasoning_text].find(
      (text) => wordsOf(text) !== undefined || (typeof text === 'string' && text !== ''),
    );
    if (typeof reasoning === 'string') mended.reasoning_content = reasoning;
    for (const piece of contentPieces(delta.content)) {
      if (piece.part) this.addThoughtPart(piece.part, piece.text);
      addPieces(mended, piece.thought ? [piece] : this.thoughts.take(piece.text));
    }
    this.text += mended.content ?? '';
    if (typeof delta.refusal === 'string' && delta.refusal !== '') {
      mended.refusal = delta.refusal;
      this.isRefused = true;
    }
    const calls = delta.tool_calls ?? delta.toolCalls ?? delta.function_call;
    if (calls !== null && calls !== undefined) {
      const pieces = this.calls.take(calls, isWhole);
      if (pieces.length > 0) mended.tool_calls = pieces;
    }
    return mended;
  }

  /** A message, or a text, in the place of a delta; one that repeats what was said in deltas is no news. */
  private messageOf(choice: JsonObject): JsonObject {
    if (this.text !== '' || !this.calls.isEmpty) return {};
    if (isObject(choice.message)) return choice.message;
    return typeof choice.text === 'string' ? { content: choice.text } : {};
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
    } else if (this.thoughts.raw !== '') message.content = this.thoughts.raw + this.text;
    const calls = this.calls.extras;
    const returned = {
      ...(Object.keys(message).length > 0 && { message }),
      ...(Object.keys(calls).length > 0 && { calls }),
    };
    return Object.keys(returned).length > 0 ? returned : null;
  }
}

/** The chunks of a body of JSON, which is a whole answer or a list of chunks. */
export function chunksOfBody(body: unknown): MendedChunk[] {
  const mender = new ChatMender();
  const values: unknown[] = Array.isArray(body) ? body : [body];
  const chunks = values.flatMap((value) => mender.take(value, true) ?? []);
  if (chunks.length === 0) throw new UnusableAnswerError('sent no answer');
  return [...chunks, ...mender.end(true)];
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

function choicesOf(value: JsonObject): JsonObject[] {
  const { choices } = value;
  if (Array.isArray(choices)) return choices.filter(isObject);
  return isObject(choices) ? [choices] : [];
}

/** The endpoint's name for an end; null while there is none, in whichever form that is said. */
function nameOfEnd(reason: unknown): string | null {
  const name = wordsOf(reason) ?? (isObject(reason) ? wordsOf(reason.type) : undefined);
  return name === undefined || /^(null|none|undefined)$/i.test(name) ? null : name;
}

function addPieces(delta: MendedDelta, pieces: readonly SaidOrThought[]): void {
  for (const { thought, text } of pieces) {
    const key = thought ? 'reasoning_content' : 'content';
    delta[key] = (delta[key] ?? '') + text;
  }
}

/** The content of a message, which is a text, a list of parts, or the value that a text should have held. */
function contentPieces(content: unknown): ContentPiece[] {
  if (typeof content === 'string') return content === '' ? [] : [{ thought: false, text: content }];
  if (content === null || content === undefined) return [];
  if (Array.isArray(content)) return content.flatMap((part: unknown) => partPieces(part));
  if (isObject(content) && typeof content.type === 'string') return partPieces(content);
  return [{ thought: false, text: JSON.stringify(content) }];
}

function partPieces(part: unknown): ContentPiece[] {
  if (typeof part === 'string') return [{ thought: false, text: part }];
  if (!isObject(part)) return [];
  const { type, text, thinking } = part;
  if ((typeof type === 'string' && THOUGHT.test(type)) || thinking !== undefined) {
    const inner: unknown[] = Array.isArray(thinking) ? thinking : [thinking ?? part.reasoning ?? text];
    const words = inner
      .map((piece) => (isObject(piece) ? piece.text : piece))
      .filter((piece) => typeof piece === 'string');
    return [{ thought: true, text: words.join(''), part }];
  }
  const said = typeof text === 'string' ? text : isObject(text) ? text.value : part.content;
  return typeof said === 'string' && said !== '' ? [{ thought: false, text: said }] : [];
}
