import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { endEventStreams, openEventStream, type EventStream } from '../../../src/platform/http/event-stream.js';

// The one writer of all event streams, over real sockets, with readers that no client library would give us.

let server: FastifyInstance;
let opened: EventStream[];
beforeAll(async () => {
  opened = [];
  server = fastify();
  server.get('/stream', (_request, reply) => {
    opened.push(openEventStream(reply, { farewell: () => [{ data: '[DONE]' }] }));
  });
  await server.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(() => server.close());

async function read(): Promise<{ socket: Socket; stream: EventStream; text: () => string }> {
  const socket = connect((server.server.address() as AddressInfo).port, '127.0.0.1');
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString()));
  socket.on('error', () => undefined);
  socket.write('GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(socket, 'data');
  return { socket, stream: opened.at(-1) as EventStream, text: () => text };
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve())));

describe('event streams', () => {
  it('cut off readers that take nothing, and bound what waits for them', async () => {
    const stalled = await Promise.all(Array.from({ length: 20 }, read));
    for (const { socket } of stalled) socket.pause();
    const before = process.memoryUsage().rss;
    const data = 'x'.repeat(8_192);
    // A producer that never waits, and would make 2 GB of it if nobody were cut off.
    for (let sent = 0; sent < 12_500; sent += 1) {
      for (const { stream } of stalled) stream.send({ data });
      if (sent % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(stalled.every(({ stream }) => stream.signal.aborted)).toBe(true);
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * 1024 * 1024);
    for (const { socket } of stalled) socket.destroy();
  });

  it('lose nothing for a reader that reads, when the producer waits for it', async () => {
    const { socket, stream, text } = await read();
    const data = 'y'.repeat(8_192);
    for (let sent = 0; sent < 2_000; sent += 1) {
      expect(stream.send({ id: sent, data })).toBe(true);
      await stream.drained();
    }
    stream.end([{ data: 'last' }]);
    while (!text().includes('data: last')) await once(socket, 'data');
    expect(text().match(/^id: \d+$/gm)).toEqual(Array.from({ length: 2_000 }, (_, index) => `id: ${index}`));
    socket.destroy();
  });

  it('tell their producer when the reader goes away', async () => {
    const { socket, stream } = await read();
    socket.destroy();
    await aborted(stream.signal);
    expect(stream.send({ data: 'late' })).toBe(false);
  });

  it('end with their farewell when the service ends', async () => {
    const { socket, text } = await read();
    endEventStreams();
    while (!text().includes('data: [DONE]\n\n')) await once(socket, 'data');
    socket.destroy();
  });
});
