import { getEventListeners } from 'node:events';
import { createServer, type Server, type Socket, type AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Logger } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { callOf, createLlm, failureOf } from './llm-setup.js';
import {
  answersWhole,
  chunk,
  END,
  event,
  fails,
  ModelServer,
  says,
  streams,
  type Answer,
} from '../../support/model-server.js';

const KEY = 'sk-canary-9f8e7d6c5b4a';
const HTML = '<!doctype html><html><body>Bad gateway</body></html>';

describe('faults of a model endpoint', () => {
  let server: ModelServer;
  const logged: string[] = [];
  beforeAll(async () => {
    server = await ModelServer.start();
    jest.spyOn(Logger.prototype, 'warn').mockImplementation((message: unknown) => void logged.push(String(message)));
  });
  afterAll(() => server.stop());
  const gateway = (more: Record<string, string> = {}): ReturnType<typeof createLlm>['service'] =>
    createLlm({ LLM_BASE_URL: server.url, LLM_API_KEY: KEY, ...more }).service;

  const html: Answer = (response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end(HTML);
  };
  const compressed =
    (encoding: string, body: Buffer): Answer =>
    (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': encoding });
      response.end(body);
    };
  const packed = gzipSync(chunk({ content: 'Hel' }) + END.join(''));
  const cutOff: Answer = (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(chunk({ content: 'Hel' }), () => response.destroy());
  };
  const reset: Answer = (response) => void response.socket?.resetAndDestroy();

  it.each<[string, Answer, string]>([
    ['a stream that merely stops', streams(chunk({ content: 'Hel' })), 'malformed'],
    [
      'a stream that stops after a call',
      streams(chunk({ tool_calls: [{ index: 0, id: 'a', function: { name: 't', arguments: '{"a' } }] })),
      'malformed',
    ],
    ['a stream without anything', streams(), 'malformed'],
    ['a stream that is only [DONE]', streams(event('[DONE]')), 'malformed'],
    ['empty choices', streams(event({ choices: [] }), event('[DONE]')), 'malformed'],
    [
      'an error in mid-stream',
      streams(chunk({ content: 'Hel' }), event({ error: { message: 'boom', type: 'server_error' } })),
      'unavailable',
    ],
    ['bad JSON in mid-stream', streams(chunk({ content: 'Hel' }), 'data: {"choices":[{\n\n', ...END), 'malformed'],
    ['HTML with status 200', html, 'malformed'],
    ['an answer that is compressed in an unknown way', compressed('compress', packed), 'malformed'],
    ['a compressed answer that is none', compressed('gzip', Buffer.from('data: [DONE]')), 'malformed'],
    ['half a compressed answer', compressed('gzip', packed.subarray(0, packed.length / 2)), 'malformed'],
    ['a connection cut in mid-stream', cutOff, 'unavailable'],
    ['a connection reset before any answer', reset, 'unavailable'],
    ['a redirect', fails(307, '', { location: 'http://127.0.0.1:9/elsewhere' }), 'refused'],
    ['status 400', fails(400), 'refused'],
    ['status 401', fails(401, { error: { message: `Incorrect API key provided: ${KEY}.` } }), 'refused'],
    ['status 408', fails(408), 'timeout'],
    ['status 500 with HTML', fails(500, HTML, { 'content-type': 'text/html' }), 'unavailable'],
    ['an error body without end', fails(500, 'x'.repeat(4 << 20)), 'unavailable'],
    ['status 204', (response) => void response.writeHead(204).end(), 'malformed'],
  ])('%s is a typed failure that cools nobody', async (_, answer, kind) => {
    server.willAnswer(answer);
    const heard: string[] = [];
    const failure = await failureOf(gateway().call(['m'], callOf({ onText: (delta) => heard.push(delta) })));
    expect(failure).toMatchObject({ name: 'ModelCallError', kind, details: { model: 'm', provider: 'gateway' } });
    expect(failure.details.retryAt).toBeUndefined();
    const { sent, ...details } = failure.details;
    expect(`${failure.message} ${JSON.stringify(details)} ${String(failure.cause)}`).not.toMatch(/canary|Bad gateway/);
    expect(sent ?? '').not.toContain('canary');
    expect(heard.join('')).toMatch(/^(Hel)?$/);
  });

  it('what came in the place of an answer, or before it broke off, is kept for the caller, without the key', async () => {
    for (const [answer, sent] of [
      [fails(200, `<p>${KEY} is bad</p>`, { 'content-type': 'text/html' }), /^<p>(?!.*canary).* is bad<\/p>$/],
      [streams(chunk({ content: `Hel ${KEY}` })), /^Hel (?!.*canary)/],
      [streams(chunk({ content: 'x'.repeat(100_000) })), /^x{20000}$/],
    ] as const) {
      server.willAnswer(answer);
      expect((await failureOf(gateway().call(['m'], callOf()))).details.sent).toMatch(sent);
    }
  });

  it.each<[string, Answer, string]>([
    ['HTML', html, 'malformed'],
    ['bad JSON', fails(200, '{"choices":'), 'malformed'],
    ['an empty body', fails(200, ''), 'malformed'],
    ['null', fails(200, 'null'), 'malformed'],
    ['no choices', fails(200, { choices: [] }), 'malformed'],
    ['nothing in it and no finish reason', fails(200, { choices: [{ message: { role: 'assistant' } }] }), 'malformed'],
    [
      '50 MB',
      (response) =>
        void response.writeHead(200, { 'content-type': 'application/json' }).end(`{"x":"${'y'.repeat(50 << 20)}"}`),
      'malformed',
    ],
    ['more text than an answer may hold', answersWhole({ content: 'x'.repeat(5 << 20) }), 'malformed'],
  ])('%s as a whole answer is a typed failure', async (_, answer, kind) => {
    server.willAnswer(answer);
    expect(await failureOf(gateway({ LLM_STREAMING: 'false' }).call(['m'], callOf()))).toMatchObject({ kind });
  });

  it.each<[string, Record<string, unknown>]>([
    ['a code', { message: 'x', code: 429 }],
    ['a type', { message: 'x', type: 'overloaded_error' }],
  ])('an overload reported in mid-stream by %s cools the provider', async (_, error) => {
    server.willAnswer(streams(chunk({ content: 'Hel' }), event({ error })));
    const failure = await failureOf(gateway().call(['m'], callOf()));
    expect(failure.details.retryAt).toBeGreaterThan(0);
  });

  it('never writes a key into the log', () => {
    expect(logged.join('\n')).toContain('Incorrect API key provided: [redacted]');
    expect(logged.join('\n')).not.toContain('canary');
  });

  describe('past a deadline', () => {
    const hang: Answer = () => undefined;
    const headersOnly: Answer = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
    };
    const stall: Answer = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(chunk({ content: 'Hel' }));
    };
    const drip: Answer = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const timer = setInterval(() => response.write(chunk({ content: '.' })), 20);
      response.on('close', () => clearInterval(timer));
    };

    it.each<[string, Answer, string, RegExp]>([
      ['before the headers', hang, 'FIRST_BYTE', /begin to answer/],
      ['after the headers', headersOnly, 'FIRST_BYTE', /begin to answer/],
      ['between two chunks', stall, 'IDLE', /stopped answering/],
      ['while it drips', drip, 'TOTAL', /longer than a call may/],
      ['before the headers, of the whole call', hang, 'TOTAL', /longer than a call may/],
    ])('%s the call ends and hangs up', async (_, answer, name, message) => {
      server.willAnswer(answer);
      const failure = await failureOf(gateway({ [`MODEL_${name}_TIMEOUT_MS`]: '1000' }).call(['m'], callOf()));
      expect(failure).toMatchObject({ kind: 'timeout', message: expect.stringMatching(message) });
      expect(await server.asked[0]?.closed).toBe('aborted');
    });

    it('a whole answer has no first byte to wait for', async () => {
      let release = (): void => undefined;
      const released = new Promise<void>((resolve) => (release = resolve));
      server.willAnswer(async (response, asked) => {
        await released;
        await answersWhole({ content: 'late' })(response, asked);
      });
      setTimeout(() => release(), 400);
      const answer = await gateway({ LLM_STREAMING: 'false', MODEL_FIRST_BYTE_TIMEOUT_MS: '100' }).call(
        ['m'],
        callOf(),
      );
      expect(answer.text).toBe('late');
    });

    it('connecting has its own', async () => {
      const sockets: Socket[] = [];
      // A TLS handshake that nobody answers: the connection is made, and never ready.
      const mute: Server = createServer((socket) => void sockets.push(socket));
      await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
      const port = (mute.address() as AddressInfo).port;
      const { service } = createLlm({ LLM_BASE_URL: `https://127.0.0.1:${port}/v1`, MODEL_CONNECT_TIMEOUT_MS: '150' });
      const failure = await failureOf(service.call(['m'], callOf()));
      expect(failure).toMatchObject({ kind: 'timeout', message: expect.stringMatching(/connected to in time/) });
      for (const socket of sockets) socket.destroy();
      mute.close();
    });

    it('nobody listening is no timeout', async () => {
      const gone = await ModelServer.start();
      const { url } = gone;
      await gone.stop();
      const failure = await failureOf(createLlm({ LLM_BASE_URL: url }).service.call(['m'], callOf()));
      expect(failure).toMatchObject({ kind: 'unavailable', message: expect.stringContaining('ECONNREFUSED') });
    });
  });

  describe('an answer without measure', () => {
    /** Writes until the other side hangs up; tells how many bytes went out. */
    function floods(piece: string, sent: { bytes: number }): Answer {
      return (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        const pump = (): void => {
          while (!response.destroyed && sent.bytes < 50 << 20) {
            sent.bytes += piece.length;
            if (!response.write(piece)) return void response.once('drain', pump);
          }
          response.end();
        };
        pump();
      };
    }

    it.each<[string, string]>([
      ['of text', chunk({ content: 'lorem ipsum '.repeat(1_000) })],
      ['of reasoning', chunk({ reasoning_content: 'lorem ipsum '.repeat(1_000) })],
      ['of one event', 'data: lorem ipsum dolor sit amet\n'.repeat(500)],
      [
        'of tool calls',
        chunk({
          tool_calls: Array.from({ length: 20 }, () => ({ id: 'x', function: { name: 't', arguments: '{}' } })),
        }),
      ],
    ])('%s is cut off, and the loop goes on turning', async (_, piece) => {
      const sent = { bytes: 0 };
      server.willAnswer(floods(piece, sent));
      let turns = 0;
      const timer = setInterval(() => (turns += 1), 1);
      const failure = await failureOf(gateway().call(['m'], callOf()));
      clearInterval(timer);
      expect(failure.kind).toBe('malformed');
      expect(await server.asked[0]?.closed).toBe('aborted');
      expect(sent.bytes).toBeLessThan(40 << 20);
      expect(turns).toBeGreaterThan(0);
    });
  });

  it('an answer that is small only while it is compressed is cut off too', async () => {
    server.willAnswer(compressed('gzip', gzipSync(Buffer.alloc(64 << 20, 'data: lorem ipsum\n'))));
    const failure = await failureOf(gateway().call(['m'], callOf()));
    expect(failure).toMatchObject({
      kind: 'malformed',
      message: expect.stringContaining('more than an answer may hold'),
    });
  });

  describe('an abort', () => {
    const stall: Answer = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(chunk({ content: 'Hel' }));
    };

    it.each<[string, Answer, boolean]>([
      ['before the headers', () => undefined, false],
      ['in mid-answer', stall, true],
    ])('%s closes the socket, rejects with its reason and tells what was lost', async (_, answer, begun) => {
      server.willAnswer(answer);
      const controller = new AbortController();
      const lost: unknown[] = [];
      const heard = new Promise<void>((resolve) => {
        if (!begun) void server.heard().then(resolve);
        const call = callOf({ signal: controller.signal, onText: () => resolve(), onLost: (loss) => lost.push(loss) });
        pending = gateway().call(['m', 'n'], call);
        pending.catch(() => undefined);
      });
      await heard;
      const reason = new Error('the turn was cancelled');
      controller.abort(reason);
      await expect(pending).rejects.toBe(reason);
      expect(await server.asked[0]?.closed).toBe('aborted');
      expect(lost).toHaveLength(begun ? 1 : 0);
      expect(server.asked).toHaveLength(1);
    });
    let pending: Promise<unknown>;

    it('before the call asks nobody', async () => {
      server.willAnswer(says('never'));
      await expect(gateway().call(['m'], callOf({ signal: AbortSignal.abort('no') }))).rejects.toBe('no');
      expect(server.asked).toHaveLength(0);
    });

    it('leaves no listener on a signal that many calls share', async () => {
      server.willAnswer(says('x'));
      const { signal } = new AbortController();
      const service = gateway();
      for (let index = 0; index < 3; index += 1) await service.call(['m'], callOf({ signal }));
      expect(getEventListeners(signal, 'abort')).toEqual([]);
    });
  });

  it('uses a connection again', async () => {
    const ports = new Set<number | undefined>();
    const remember: Answer = (response, asked) => {
      ports.add(response.socket?.remotePort);
      return says('x')(response, asked);
    };
    server.willAnswer(remember);
    const service = gateway();
    for (let index = 0; index < 5; index += 1) await service.call(['m'], callOf());
    expect(ports.size).toBe(1);
  });
});
