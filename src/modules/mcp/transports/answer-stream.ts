import { createParser } from 'eventsource-parser';
import { EgressRefusedError } from '../../../platform/egress/index.js';
import { repairedMessages } from './message-repair.js';
import { jsonIn } from './message-text.js';
import { FLOODED } from './unasked-messages.js';

/** Of one JSON answer, and of one event of a stream. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024 + 64 * 1024;

/** Told of each message that nobody asked for, with its bytes; false when there have been too many. */
export type CountUnasked = (bytes: number) => boolean;

/**
 * `response` with its messages in the form of the protocol. Its body fails once a message in it is too large, counted as it
 * arrives, or once too many came that nobody asked for; events of a stream count one by one.
 */
export function answerStream(response: Response, countUnasked: CountUnasked): Response {
  if (response.body === null) return response;
  const type = response.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase() ?? '';
  const { status, statusText } = response;
  const headers = new Headers(response.headers);
  const transform =
    type === 'text/event-stream' ? events(countUnasked) : type === 'application/json' ? json() : bytes();
  headers.delete('content-length');
  return new Response(response.body.pipeThrough(transform), { status, statusText, headers });
}

function tooLarge(): Error {
  return new EgressRefusedError('it answered with more than 4 MiB');
}

function bytes(): TransformStream<Uint8Array, Uint8Array> {
  let size = 0;
  return new TransformStream({
    transform(chunk, controller) {
      size += chunk.length;
      if (size > MAX_MESSAGE_BYTES) controller.error(tooLarge());
      else controller.enqueue(chunk);
    },
  });
}

function json(): TransformStream<Uint8Array, Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  return new TransformStream({
    transform(chunk, controller) {
      size += chunk.length;
      if (size > MAX_MESSAGE_BYTES) controller.error(tooLarge());
      else chunks.push(chunk);
    },
    flush: (controller) => controller.enqueue(Buffer.from(repairedText(Buffer.concat(chunks).toString('utf8')).text)),
  });
}

function events(countUnasked: CountUnasked): TransformStream<Uint8Array, Uint8Array> {
  let size = 0;
  const decoder = new TextDecoder();
  let out: string[] = [];
  let flooded = false;
  const parser = createParser({
    onEvent: ({ event, id, data }) => {
      size = 0;
      if (flooded) return;
      const { text, unasked } =
        event === undefined || event === 'message' ? repairedText(data) : { text: data, unasked: true };
      if (unasked) flooded ||= !countUnasked(data.length);
      const head = `${id === undefined ? '' : `id: ${id}\n`}${event === undefined ? '' : `event: ${event}\n`}`;
      out.push(`${head}${text.replace(/^/gm, 'data: ')}\n\n`);
    },
    onRetry: (retry) => void out.push(`retry: ${retry}\n`),
    onComment: () => {
      size = 0;
      flooded ||= !countUnasked(0);
    },
  });
  return new TransformStream({
    transform(chunk, controller) {
      size += chunk.length;
      parser.feed(decoder.decode(chunk, { stream: true }));
      if (flooded) return controller.error(new EgressRefusedError(FLOODED));
      if (size > MAX_MESSAGE_BYTES) return controller.error(tooLarge());
      if (out.length > 0) controller.enqueue(Buffer.from(out.join('')));
      out = [];
    },
  });
}

/** `text` as the messages of the protocol that it holds, or as it is; `unasked` when none of them answers a request. */
function repairedText(text: string): { text: string; unasked: boolean } {
  try {
    const raw = jsonIn(text);
    const messages = repairedMessages(raw);
    if (messages.length === 0) return { text, unasked: true };
    const unasked = messages.every((message) => 'method' in message);
    return { text: JSON.stringify(Array.isArray(raw) && messages.length !== 1 ? messages : messages[0]), unasked };
  } catch {
    return { text, unasked: true };
  }
}
