import { createParser } from 'eventsource-parser';
import { ReportedInStreamError, UnusableAnswerError } from '../model-failure.js';
import { ChatMender, chunksOfBody, wholeOf, type MendedChunk } from './chat-mender.js';
import { parsedJson } from './json-value.js';
import { errorInWords, reportedError } from './reported-error.js';

const EVENT_STREAM = { 'content-type': 'text/event-stream' };
const JSON_BODY = { 'content-type': 'application/json' };
/** A body that begins so is a stream of events, whatever its header says. */
const EVENTS = /^\s*(data|event|id|retry)?\s*:/;
/** And one that begins so is none. */
const VALUE = /^\s*[[{]/;
/** A page for people, such as a proxy's. */
const PAGE = /^\s*</;

/**
 * A `fetch` for chat completions whose successful answers are mended before the SDK reads them: streams and whole answers,
 * each in the form that was asked for, also where the endpoint sent the other one.
 */
export function createChatFetch(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
  return async (input, init) => {
    const response = await fetch(input, init);
    const isChat = init?.method === 'POST' && typeof init.body === 'string';
    if (!isChat || !response.ok || !response.body) return response;
    const asksForStream = isStreamRequest(init.body as string);
    const source = new TextSource(response.body);
    const isEventStream = /\btext\/event-stream\b/i.test(response.headers.get('content-type') ?? '');
    const beginning = await source.beginning();
    const looksLikeEvents = EVENTS.test(beginning) || (isEventStream && !VALUE.test(beginning));
    if (looksLikeEvents && asksForStream) return new Response(mendedEvents(source), { headers: EVENT_STREAM });
    if (looksLikeEvents) {
      const chunks: MendedChunk[] = [];
      for await (const chunk of chunksOf(source)) chunks.push(chunk);
      return new Response(JSON.stringify(wholeOf(chunks)), { headers: JSON_BODY });
    }
    const text = await source.rest();
    const value = parsedJson(text.replace(/^\uFEFF/, ''));
    if (value === undefined && text.trim() !== '' && !VALUE.test(text) && !PAGE.test(text)) {
      throw new ReportedInStreamError(errorInWords(text.trim()));
    }
    if (value === undefined || value === null) return new Response(text, { headers: response.headers });
    const chunks = chunksOfBody(value);
    if (!asksForStream) return new Response(JSON.stringify(wholeOf(chunks)), { headers: JSON_BODY });
    return new Response(chunks.map(eventOf).join(''), { headers: EVENT_STREAM });
  };
}

/** Requests say `stream` first, so that the messages need not be read for it. */
function isStreamRequest(body: string): boolean {
  return body.startsWith('{"stream":true');
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

/**
 * The mended chunks of an event stream. An answer that the endpoint has ended is whole, also if the connection fails after
 * that.
 */
async function* chunksOf(source: TextSource): AsyncGenerator<MendedChunk> {
  const mender = new ChatMender();
  const events: { name: string | undefined; data: string }[] = [];
  const parser = createParser({
    onEvent: ({ event, data }) => void events.push({ name: event, data }),
    // llama.cpp's server names the field of an error so.
    onError: ({ type, field, value }) => {
      if (type === 'unknown-field' && field === 'error') events.push({ name: 'error', data: value ?? '' });
    },
  });
  let isMarked = false;
  try {
    while (!isMarked) {
      const text = await nextOf(source, mender);
      if (text === null) {
        // The last event may lack the blank line after it.
        parser.feed('\n\n');
      } else parser.feed(text);
      for (const { name, data } of events.splice(0)) {
        if (data.trim() === '[DONE]') {
          isMarked = true;
          break;
        }
        const chunk = mendedEvent(mender, name, data);
        if (chunk) yield chunk;
      }
      if (text === null) break;
    }
    yield* mender.end(isMarked);
  } finally {
    source.cancel().catch(() => undefined);
  }
}

async function nextOf(source: TextSource, mender: ChatMender): Promise<string | null> {
  try {
    return await source.next();
  } catch (error) {
    if (mender.hasEnded) return null;
    throw error;
  }
}

function mendedEvent(mender: ChatMender, name: string | undefined, data: string): MendedChunk | null {
  const value = parsedJson(data);
  if (name === 'error') throw new ReportedInStreamError(reportedError(value, true) ?? errorInWords(data));
  if (value !== undefined) return mender.take(value);
  // Part of the answer may have been lost with it; anything else that is no JSON is noise.
  if (data.trimStart().startsWith('{')) throw new UnusableAnswerError('sent a chunk that cannot be read');
  return null;
}

function mendedEvents(source: TextSource): ReadableStream<Uint8Array> {
  const chunks = chunksOf(source);
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(eventOf(value)));
    },
    cancel: () => source.cancel(),
  });
}

function eventOf(chunk: MendedChunk): string {
  return `data: ${JSON.stringify(chunk)}\n\n`;
}
