import type { FastifyReply } from 'fastify';
import { openEventStream } from '../../platform/http/index.js';
import type { RunningTurn } from './running-turn.js';
import { DONE, followLog, RESET } from './turn-log.js';

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
    for await (const events of followLog(turn.log, 0, stream.signal)) {
      if (events[0] === RESET) {
        reply.raw.destroy();
        return;
      }
      for (const { payload } of events) {
        stream.send({ data: payload });
        await stream.drained();
      }
    }
    stream.end();
  } finally {
    gone();
  }
}
