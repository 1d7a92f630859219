import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { chunk, END } from '../model-server.js';
import { pieceOf, PIECE_CHARACTERS } from './pieces.js';

/**
 * A model in a process of its own, so that what it holds counts for nobody else. Its names say what it pours:
 * `steady-<bytes a second>-<seconds>` numbered and dated pieces, `flood-<bytes a second>-<characters>` escape characters,
 * which take six bytes each on the wire. Sends its URL to the process that forked it.
 */
const TICK_MS = 50;
const WIRE_BYTES = 6;

/** Sends `next(count)` so often that `count` grows by `perSecond`, up to `total`. */
async function pour(
  response: ServerResponse,
  perSecond: number,
  total: number,
  next: (from: number, to: number) => string,
): Promise<void> {
  const started = performance.now();
  for (let sent = 0; sent < total && !response.destroyed;) {
    const due = Math.min(total, Math.floor(((performance.now() - started) * perSecond) / 1_000));
    if (due > sent) response.write(next(sent, due));
    sent = Math.max(sent, due);
    await delay(TICK_MS);
  }
  response.end(END.join(''));
}

function answer(model: string, response: ServerResponse): Promise<void> {
  const [kind, rate, amount] = model.split('-');
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  if (kind === 'steady') {
    const perSecond = Number(rate) / PIECE_CHARACTERS;
    return pour(response, perSecond, Math.round(perSecond * Number(amount)), (from, to) => {
      const pieces = Array.from({ length: to - from }, (_, index) => pieceOf(from + index, Date.now()));
      return pieces.map((content) => chunk({ content })).join('');
    });
  }
  return pour(response, Number(rate) / WIRE_BYTES, Number(amount), (from, to) =>
    chunk({ content: '\u001b'.repeat(to - from) }),
  );
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (data: Buffer) => chunks.push(data));
  request.on('end', () => {
    const { model } = JSON.parse(Buffer.concat(chunks).toString() || '{"model":""}') as { model: string };
    void answer(model, response);
  });
});
server.listen(0, '127.0.0.1', () => {
  process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`);
});
process.on('disconnect', () => process.exit(0));
