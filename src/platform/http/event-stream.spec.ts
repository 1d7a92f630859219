import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { FastifyReply } from 'fastify';
import { encodeFrame, endEventStreams, keepStreamsWhile, openEventStream } from './event-stream.js';

/** A response, and its connection, whose reader takes only what `take` says. */
class SlowResponse extends EventEmitter {
  written = '';
  writableLength = 0;
  writableNeedDrain = false;
  destroyed = false;
  ended = false;
  head: Record<string, string> = {};
  setNoDelay(): void {}
  cork(): void {}
  uncork(): void {}
  writeHead(_status: number, headers: Record<string, string>): void {
    this.head = headers;
  }
  flushHeaders(): void {}
  write(text: string | Buffer): boolean {
    this.written += text.toString();
    this.writableLength += text.length;
    this.writableNeedDrain = this.writableLength > 16_384;
    return !this.writableNeedDrain;
  }
  end(): void {
    this.ended = true;
  }
  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
  take(bytes = this.writableLength): void {
    this.writableLength = Math.max(0, this.writableLength - bytes);
    if (this.writableLength > 0) return;
    this.writableNeedDrain = false;
    this.emit('drain');
  }
}

function setup(method = 'GET'): { raw: SlowResponse; reply: FastifyReply } {
  const raw = new SlowResponse();
  const request = { method, raw: { socket: raw } };
  const reply = { raw, request, hijack: () => undefined, getHeaders: () => ({ 'x-request-id': 'r' }) };
  return { raw, reply: reply as unknown as FastifyReply };
}

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  endEventStreams();
  jest.useRealTimers();
});

describe('frames', () => {
  it('are written as the standard says', () => {
    expect(encodeFrame({ data: { t: 'a\nb' } })).toBe('data: {"t":"a\\nb"}\n\n');
    expect(encodeFrame({ id: 7, event: 'task.queued', data: [1] })).toBe('id: 7\nevent: task.queued\ndata: [1]\n\n');
    expect(encodeFrame({ data: '[DONE]' })).toBe('data: [DONE]\n\n');
  });

  it('cannot be forged by what they carry', () => {
    expect(encodeFrame({ id: '1\ndata: x', event: 'a\r\nb', data: 'x\r\ny\rz\n\ndata: w' })).toBe(
      'id: 1data: x\nevent: ab\ndata: x\ndata: y\ndata: z\ndata: \ndata: data: w\n\n',
    );
  });
});

describe('an event stream', () => {
  it('answers with its own headers and those of the request', () => {
    const { raw, reply } = setup();
    openEventStream(reply, { headers: { 'x-task-id': 't' } });
    expect(raw.head).toEqual({
      'x-request-id': 'r',
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'x-task-id': 't',
    });
  });

  it('sends a comment every 15 seconds', () => {
    const { raw, reply } = setup();
    openEventStream(reply);
    jest.advanceTimersByTime(45_000);
    expect(raw.written).toBe(': ping\n\n'.repeat(3));
  });

  it('cuts off a reader that falls too far behind, with bounded memory', () => {
    const { raw, reply } = setup();
    const stream = openEventStream(reply);
    let sent = 0;
    while (stream.send({ data: 'x'.repeat(1_000) })) sent += 1;
    expect(sent).toBeLessThan(300);
    expect(raw.destroyed).toBe(true);
    expect(stream.signal.aborted).toBe(true);
  });

  it('cuts off a reader that takes nothing for 30 seconds', () => {
    const { raw, reply } = setup();
    const stream = openEventStream(reply);
    stream.send({ data: 'x'.repeat(20_000) });
    jest.advanceTimersByTime(29_000);
    expect(raw.destroyed).toBe(false);
    jest.advanceTimersByTime(1_000);
    expect(raw.destroyed).toBe(true);
  });

  it('keeps a reader that reads, though it never catches up', () => {
    const { raw, reply } = setup();
    const stream = openEventStream(reply);
    for (let round = 0; round < 20; round += 1) {
      stream.send({ data: 'x'.repeat(20_000) });
      jest.advanceTimersByTime(10_000);
      raw.take(20_000 * (round > 2 ? 1 : 0.6));
    }
    expect(raw.writableLength).toBeGreaterThan(16_384);
    expect(raw.destroyed).toBe(false);
  });

  it('lets a producer wait for its reader, and wakes it when the reader goes', async () => {
    const { raw, reply } = setup();
    const stream = openEventStream(reply);
    await stream.drained();
    stream.send({ data: 'x'.repeat(20_000) });
    const waiting = stream.drained();
    raw.take();
    await waiting;
    stream.send({ data: 'x'.repeat(20_000) });
    const again = stream.drained();
    raw.emit('close');
    await again;
    expect(stream.signal.aborted).toBe(true);
    expect(stream.send({ data: 'late' })).toBe(false);
  });

  it('ends once, with its last frames, and at shutdown with its farewell', () => {
    const { raw, reply } = setup();
    const stream = openEventStream(reply, { farewell: () => [{ data: 'bye' }, { data: '[DONE]' }] });
    endEventStreams();
    expect(raw.written).toBe('data: bye\n\ndata: [DONE]\n\n');
    expect(raw.ended).toBe(true);
    stream.end([{ data: 'again' }]);
    expect(raw.written).not.toContain('again');
  });

  it('cuts off a reader that stops reading, within 35 seconds, whatever it read before', () => {
    const { raw, reply } = setup();
    const stream = openEventStream(reply);
    stream.send({ data: 'x'.repeat(20_000) });
    for (let second = 0; second < 28; second += 1) {
      jest.advanceTimersByTime(1_000);
      raw.take(10_000);
      stream.send({ data: 'x'.repeat(20_000) });
    }
    jest.advanceTimersByTime(35_000);
    expect(raw.destroyed).toBe(true);
  });

  it('sends bytes as the data of a frame like the text they are', () => {
    const { raw, reply } = setup();
    openEventStream(reply).send({ id: 3, data: Buffer.from('{"t":"ä"}') });
    expect(raw.written).toBe(encodeFrame({ id: 3, data: { t: 'ä' } }));
  });

  it('ends at once for HEAD', () => {
    const { raw, reply } = setup('HEAD');
    expect(openEventStream(reply).signal.aborted).toBe(true);
    expect(raw.ended).toBe(true);
  });
});

describe('a frame in pieces', () => {
  async function* pieces(count: number): AsyncGenerator<string, void> {
    for (let index = 0; index < count; index += 1) yield String(index % 10).repeat(10_000);
  }

  it('is one frame, of which no more waits than the reader takes', async () => {
    const { raw, reply } = setup();
    const stream = openEventStream(reply);
    let most = 0;
    const sending = stream.sendInPieces({ id: 9 }, pieces(100));
    let sent = false;
    void sending.then(() => (sent = true));
    while (!sent) {
      await jest.advanceTimersByTimeAsync(1_000);
      most = Math.max(most, raw.writableLength);
      raw.take();
    }
    expect(raw.written.replaceAll(': ping\n\n', '')).toMatch(/^id: 9\ndata: [0-9]{1000000}\n\n$/);
    expect(raw.written).toMatch(/^id: 9\ndata: [0-9]*\n\n/);
    expect(most).toBeLessThan(40_000);
  });

  it('that cannot be made whole is never ended as if it were', async () => {
    for (const interrupt of [endEventStreams, null]) {
      const { raw, reply } = setup();
      const stream = openEventStream(reply, { farewell: () => [{ data: '[DONE]' }] });
      async function* broken(): AsyncGenerator<string, void> {
        yield 'half';
        interrupt?.();
        if (interrupt === null) throw new Error('the rest is gone');
        yield 'late';
      }
      const sending = stream.sendInPieces({ id: 1 }, broken());
      if (interrupt === null) await expect(sending).rejects.toThrow('the rest is gone');
      else await sending;
      expect(raw.written).toBe('id: 1\ndata: half');
      expect(raw.destroyed).toBe(true);
    }
  });
});

describe('a stream whose caller may lose its credential', () => {
  it('ends soon after it did, and not because a check failed', async () => {
    const { raw, reply } = setup();
    let answer: Promise<boolean> = Promise.resolve(true);
    keepStreamsWhile(reply.request, () => answer);
    const stream = openEventStream(reply);
    await jest.advanceTimersByTimeAsync(10_000);
    answer = Promise.reject(new Error('the database is away'));
    await jest.advanceTimersByTimeAsync(10_000);
    expect(stream.signal.aborted).toBe(false);
    answer = Promise.resolve(false);
    await jest.advanceTimersByTimeAsync(1_000);
    expect(stream.signal.aborted).toBe(true);
    expect(raw.ended).toBe(true);
  });
});
