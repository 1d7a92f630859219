import type { FastifyReply } from 'fastify';
import { openEventStream, type EventStream } from '../../../platform/http/index.js';
import type { RunningTurn } from '../running-turn.js';
import { DONE, followKept, type Told, type TurnEvent, type TextPieces } from './turn-log.js';
import { inJson, partsOf } from './turn-text.js';

/** Characters of a payload from which its bytes are shared; short ones cost less to encode than to keep. */
const SHARED_FROM = 1_024;

/**
 * Answers with the stream of a turn that was just begun: `data:` lines and nothing else. A reader that falls so far behind
 * that events it has not had are gone is cut off; it can read on at the turn's events.
 */
export async function streamTurn(reply: FastifyReply, turn: RunningTurn, sessionId: string): Promise<void> {
  const gone = turn.read();
  try {
    const stream = openEventStream(reply, {
      headers: { 'x-task-id': turn.id, 'x-session-id': sessionId },
      farewell: () => [{ data: JSON.stringify({ error: 'The service is shutting down.' }) }, { data: DONE }],
    });
    const following = followKept(turn.log, 0, stream.signal);
    let next = await following.next();
    for (; next.done !== true; next = await following.next()) {
      for (const event of next.value) {
        stream.send({ data: dataOf(event) });
        if (stream.lags) await stream.drained();
      }
    }
    if (next.value === null) stream.end();
    else reply.raw.destroy();
  } finally {
    gone();
  }
}

/** Sends what a reader of a turn's events is told, ids included, and waits until it has left this process. */
export async function sendTold(stream: EventStream, told: Told): Promise<void> {
  if (!Array.isArray(told)) return stream.sendInPieces({ id: told.id }, textPayload(told.pieces));
  for (const event of told) {
    stream.send({ id: event.id, data: dataOf(event) });
    if (stream.lags) await stream.drained();
  }
}

/** `{"t":"…"}` in pieces. */
async function* textPayload(pieces: TextPieces['pieces']): AsyncGenerator<string | Buffer, void> {
  yield '{"t":"';
  for await (const piece of pieces) {
    if (typeof piece !== 'string') yield piece;
    else for (const part of partsOf(piece)) yield inJson(part);
  }
  yield '"}';
}

const shared = new WeakMap<TurnEvent, Buffer>();

/** The payload of `event`, a long one as bytes, so that what waits for many slow readers is there once. */
function dataOf(event: TurnEvent): string | Buffer {
  if (event.payload.length < SHARED_FROM) return event.payload;
  const bytes = shared.get(event) ?? Buffer.from(event.payload);
  shared.set(event, bytes);
  return bytes;
}
