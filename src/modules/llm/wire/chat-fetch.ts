import { createParser } from 'eventsource-parser';
import { ReportedInStreamError, UnusableAnswerError } from '../model-failure.js';
import { ChatMender, chunksOfBody, wholeOf, type MendedChunk } from './chat-mender.js';
import { objectTexts } from './json-texts.js';
import { parsedJson } from './json-value.js';
import { ThinkingAloud } from './leaked-thoughts.js';
import { errorInWords, reportedError } from './reported-error.js';

const EVENT_STREAM = { 'content-type': 'text/event-stream' };
const JSON_BODY = { 'content-type': 'application/json' };
/** A body that begins so is a stream of events, whatever its header says. */
const EVENTS = /^\s*(data|event|id|retry|error)?\s*:/i;
/** And one that begins so is none. */
const VALUE = /^\s*"?[[{]/;
/** What stands before each value of a JSON text sequence. */
const RECORD_SEPARATOR = '\u001e';
/** A page for people, such as a proxy's. */
const PAGE = /^\s*</;
/** What ends a stream, as its data or as the name of an event. */
const END_MARK = /^\s*"?\[?\s*done\s*\]?"?\s*$/i;
const LAST_MARK = /\[DONE\]\s*$/;
const END_EVENT = /^(done|end|complete|completed|finish|finished|close|eof)$/i;
const ERROR_EVENT = /error|exception|failure/i;
/** A chunk that could not be read may have held some of the answer. */
const MAY_ANSWER = /"(choices|delta|content|tool_calls)"/;
/** Data that says nothing but that the endpoint is there. */
const HEARTBEAT = /^\W*(ping|pong|keep.?alive|heart.?beat|processing|null)?\W*$/i;

/**
 * A `fetch` for chat completions whose successful answers are mended before the SDK reads them: streams and whole answers,
 * each in the form that was asked for, also where the endpoint sent the other one.
 */
export function createChatFetch(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
  const aloud = new ThinkingAloud();
  return async (input, init) => {
    const response = await fetch(input, init);
    const isChat = init?.method === 'POST' && typeof init.body === 'string';
    if (!isChat || !response.ok || !response.body) return response;
    const asksForStream = isStreamRequest(init.body as string);
    const model = MODEL.exec((init.body as string).slice(0, MODEL_WITHIN))?.[1] ?? '';
    const source = new TextSource(response.body);
    const isEventStream = /\btext\/event-stream\b/i.test(response.headers.get('content-type') ?? '');
    const beginning = (await source.beginning()).replaceAll(RECORD_SEPARATOR, '');
    const looksLikeEvents = EVENTS.test(beginning) || (isEventStream && !VALUE.test(beginning));
    const isLive = looksLikeEvents && asksForStream;
    const mender = new ChatMender(!isLive || aloud.isExpected(model));
    const hasEnded = (): void => {
      if (mender.thinksAloud !== null) aloud.learn(model, mender.thinksAloud);
    };
    if (isLive) {
      return new Response(mendedEvents(source, mender, hasEnded), { headers: EVENT_STREAM });
    }
    if (looksLikeEvents) {
      const chunks: MendedChunk[] = [];
      for await (const chunk of chunksOf(source, mender)) chunks.push(chunk);
      hasEnded();
      return new Response(JSON.stringify(wholeOf(chunks)), { headers: JSON_BODY });
    }
    const text = (await source.rest()).replaceAll(RECORD_SEPARATOR, '');
    const values = jsonIn(text);
    if (values === null && !HEARTBEAT.test(text) && !VALUE.test(text) && !PAGE.test(text)) {
      throw new ReportedInStreamError(errorInWords(text.trim()));
    }
    if (values === null) throw new UnusableAnswerError('sent an answer that cannot be read', text);
    const isWhole = values.length === 1 || LAST_MARK.test(text);
    const chunks = chunksOfBody(mender, values, isWhole);
    hasEnded();
    if (!asksForStream) return new Response(JSON.stringify(wholeOf(chunks)), { headers: JSON_BODY });
    return new Response(chunks.map(eventOf).join(''), { headers: EVENT_STREAM });
  };
}

/** Requests name their model among the first parameters. */
const MODEL = /"model":"((?:[^"\\]|\\.)*)"/;
const MODEL_WITHIN = 1_000;

/** Requests say `stream` first, so that the messages need not be read for it. */
function isStreamRequest(body: string): boolean {
  return body.startsWith('{"stream":true');
}

/** The texts of the JSON values that a body is: one, or a row of them; null when it is none. */
function jsonIn(body: string): string[] | null {
  const text = body.replace(/^\uFEFF/, '');
  const value = parsedJson(text);
  // Some gateways encode an answer twice.
  if (typeof value === 'string') return VALUE.test(value) ? jsonIn(value) : null;
  if (value === null) return null;
  return value === undefined ? objectTexts(text) : [text];
}

/** A body as text, which can be looked at before it is read. */
class TextSource {
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private readonly decoder = new TextDecoder();
  private first: string | null = null;

  constructor(body: ReadableStream<Uint8Array>) {
    this.reader = body.getReader();
  }

  /** The first piece that is not blank. */
  async beginning(): Promise<string> {
    let text = '';
    while (text.trim() === '') {
      const next = await this.read();
      if (next === null) break;
      text += next;
    }
    this.first = text;
    return text;
  }

  /** The next piece; null at the end. */
  async next(): Promise<string | null> {
    const { first } = this;
    this.first = null;
    return first === null || first === '' ? this.read() : first;
  }

  async rest(): Promise<string> {
    const pieces: string[] = [];
    for (let piece = await this.next(); piece !== null; piece = await this.next()) pieces.push(piece);
    return pieces.join('');
  }

  cancel(): Promise<void> {
    return this.reader.cancel();
  }

  private async read(): Promise<string | null> {
    const { done, value } = await this.reader.read();
    if (!done) return this.decoder.decode(value, { stream: true });
    const left = this.decoder.decode();
    return left === '' ? null : left;
  }
}

/** Characters of one event from which on each step with it gets a turn of the event loop to itself. */
const LARGE = 256 * 1024;

const giveWay = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * The mended chunks of an event stream. An answer that the endpoint has ended is whole, also if the connection fails after
 * that.
 */
async function* chunksOf(source: TextSource, mender: ChatMender): AsyncGenerator<MendedChunk> {
  const events: StreamEvent[] = [];
  const parser = createParser({
    onEvent: ({ event, data }) => void events.push({ name: event, data }),
    onError: ({ type, field, value }) => {
      if (type !== 'unknown-field') return;
      const name = field?.trim().toLowerCase();
      if (name === 'data') events.push({ name: undefined, data: value ?? '' });
      // llama.cpp's server names the field of an error so.
      else if (name === 'error') events.push({ name: 'error', data: value ?? '' });
    },
  });
  let isMarked = false;
  try {
    while (!isMarked) {
      const text = await nextOf(source, mender);
      // The last event may lack the blank line after it.
      parser.feed(text ?? '\n\n');
      for (const event of events.splice(0).flatMap(apart)) {
        isMarked = END_MARK.test(event.data);
        if (isMarked) break;
        const chunk = mendedEvent(mender, event);
        if (event.data.length > LARGE) await giveWay();
        if (chunk) yield chunk;
        isMarked = END_EVENT.test(event.name ?? '');
        if (isMarked) break;
      }
      if (text === null) break;
    }
    yield* mender.end(isMarked);
  } finally {
    source.cancel().catch(() => undefined);
  }
}

interface StreamEvent {
  name: string | undefined;
  data: string;
}

/** The events that stand in one, since the blank lines between them are missing. */
function apart(event: StreamEvent): StreamEvent[] {
  const data = event.data.replace(/^(?:\s*data:\s*)+/i, '');
  if (!data.includes('\n') || parsedJson(data) !== undefined) return [{ ...event, data }];
  return data.split('\n').map((line) => ({ ...event, data: line }));
}

async function nextOf(source: TextSource, mender: ChatMender): Promise<string | null> {
  try {
    return await source.next();
  } catch (error) {
    if (mender.hasEnded) return null;
    throw error;
  }
}

function mendedEvent(mender: ChatMender, { name, data }: StreamEvent): MendedChunk | null {
  const parsed = parsedJson(data);
  const text = typeof parsed === 'string' && VALUE.test(parsed) ? parsed : data;
  const value = text === data ? parsed : parsedJson(text);
  if (name !== undefined && ERROR_EVENT.test(name)) {
    throw new ReportedInStreamError(reportedError(value, true) ?? errorInWords(HEARTBEAT.test(data) ? '' : data));
  }
  if (value !== undefined) return mender.take(value, text);
  if (MAY_ANSWER.test(data)) throw new UnusableAnswerError('sent a chunk that cannot be read', data);
  if (!HEARTBEAT.test(data)) mender.takeWords(data);
  return null;
}

/** The mended stream; `onEnd` is called once it has come to its end. */
function mendedEvents(source: TextSource, mender: ChatMender, onEnd: () => void): ReadableStream<Uint8Array> {
  const chunks = chunksOf(source, mender);
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) {
        onEnd();
        return controller.close();
      }
      const event = encoder.encode(eventOf(value));
      if (event.length > LARGE) await giveWay();
      controller.enqueue(event);
    },
    cancel: () => source.cancel(),
  });
}

function eventOf(chunk: MendedChunk): string {
  return `data: ${JSON.stringify(chunk)}\n\n`;
}
