import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { startService, type Service } from '../../support/service.js';

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

interface Raw {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** A request as it is written, which `fetch` would correct. */
async function raw(
  options: { method?: string; path?: string; headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<Raw> {
  const { port } = new URL(service.url);
  const request = httpRequest({ host: '127.0.0.1', port, method: 'GET', path: '/', ...options });
  request.end(options.body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers as Record<string, string>, body };
}

/** Bytes on a connection, and all that comes back. */
async function bytes(text: string): Promise<string> {
  const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
  let answer = '';
  socket.on('data', (data: Buffer) => (answer += data.toString()));
  // A service that closes without reading on resets the connection, after its answer.
  socket.on('error', () => undefined);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.end(text);
  await closed;
  return answer;
}

function expectProblem(answer: Raw, status: number, code: string): void {
  expect([answer.status, answer.headers['content-type']]).toEqual([
    status,
    expect.stringMatching(/^application\/problem\+json/),
  ]);
  const problem = JSON.parse(answer.body) as Record<string, unknown>;
  expect(problem).toMatchObject({
    type: `urn:problem:${code}`,
    title: expect.stringMatching(/\S/),
    status,
    detail: expect.stringMatching(/^[A-Z].*\.$/),
    instance: expect.stringMatching(/^\/[^?]*$/),
    code,
    request_id: answer.headers['x-request-id'],
  });
}

const post = (body: string | Buffer, headers: Record<string, string> = {}): Promise<Raw> =>
  raw({
    method: 'POST',
    path: '/api/v1/keys',
    body,
    headers: { 'content-type': 'application/json', 'x-admin-secret': service.adminSecret, ...headers },
  });

describe('what cannot be served is a problem document', () => {
  it.each([
    '/',
    '/nope?secret=1',
    '/api/v1/keyss',
    '/api/v1/keys/',
    '/%zz',
    '/api/v1/keys/%c3%28',
    '//',
    '/..%2f..%2fetc/passwd',
    `/${'x'.repeat(8_000)}`,
  ])('an unknown route: %s', async (path) => expectProblem(await raw({ path }), 404, 'not_found'));

  it.each(['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'PURGE', 'QUERY'])(
    'an unknown method: %s',
    async (method) => {
      expectProblem(await raw({ method, path: '/health/live' }), 404, 'not_found');
    },
  );

  it.each([
    ['POST', '/nope', '{', 'application/json'],
    ['PATCH', '/api/v1/keys', 'x', 'text/plain'],
    ['POST', '/api/v1/keys/validate', 'x'.repeat(2 * 1024 * 1024), 'application/json'],
  ])('an unknown route whatever is sent to it: %s %s', async (method, path, body, type) => {
    expectProblem(await raw({ method, path, body, headers: { 'content-type': type } }), 404, 'not_found');
  });

  it.each([
    ['nothing that is JSON', '{'],
    ['two values', '{}{}'],
    ['a bare word', 'undefined'],
    ['a trailing comma', '{"name":"x",}'],
    ['NaN', '{"name":NaN}'],
    ['bytes that are no UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22])],
    ['a lone surrogate in UTF-8', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
  ])('malformed JSON: %s', async (_what, body) => expectProblem(await post(body), 422, 'malformed_json'));

  it.each([
    ['null', 'null'],
    ['a list', '[]'],
    ['a text', '"x"'],
    ['nothing', ''],
    ['deep nesting', `${'{"name":'.repeat(10_000)}1${'}'.repeat(10_000)}`],
    ['many values', `{"name":"x","metadata":{"a":[${'0,'.repeat(60_000)}0]}}`],
    ['deep lists', `{"name":"x","metadata":{"a":${'['.repeat(100)}${']'.repeat(100)}}}`],
    ['a prototype', '{"name":"x","__proto__":{"admin":true}}'],
    ['a deep prototype', '{"name":"x","metadata":{"a":[{"__proto__":{}}]}}'],
    ['a constructor', '{"name":"x","metadata":{"constructor":{"prototype":{}}}}'],
    ['NUL', '{"name":"a\\u0000b"}'],
    ['a lone surrogate', '{"name":"a\\ud800b"}'],
    ['a NUL in a name', '{"name":"x","metadata":{"\\u0000":1}}'],
    ['an unknown field', '{"name":"x","is_admin":true}'],
    [
      '100 000 unknown fields',
      JSON.stringify({ name: 'x', ...Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`f${i}`, 1])) }),
    ],
  ])('a body of the wrong shape: %s', async (_what, body) => expectProblem(await post(body), 422, 'validation_failed'));

  it('takes a byte order mark and the last of two equal names, as JSON parsers do', async () => {
    expect((await post('\uFEFF{"name":"x"}')).status).toBe(201);
    expect(JSON.parse((await post('{"name":"x","name":"y"}')).body)).toMatchObject({ name: 'y' });
  });

  it('a body that is too large, told or not', async () => {
    const body = JSON.stringify({ name: 'x'.repeat(1024 * 1024) });
    expectProblem(await post(body), 413, 'payload_too_large');
    expectProblem(await post(body, { 'transfer-encoding': 'chunked' }), 413, 'payload_too_large');
  });

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/xml',
    'application/jsonx',
    'x',
    'application/json-patch+json',
  ])('a body that is not JSON: %s', async (type) =>
    expectProblem(await post('{"name":"x"}', { 'content-type': type }), 415, 'unsupported_media_type'),
  );

  it('a compressed body', async () => {
    expectProblem(await post(gzipSync('{"name":"x"}'), { 'content-encoding': 'gzip' }), 415, 'unsupported_media_type');
  });

  it('takes a body that is said not to be compressed', async () => {
    expect((await post('{"name":"x"}', { 'content-encoding': 'Identity' })).status).toBe(201);
  });

  it('takes JSON with a charset', async () => {
    expect((await post('{"name":"x"}', { 'content-type': 'Application/JSON; charset=utf-8' })).status).toBe(201);
  });

  it.each([
    ['no request at all', 'GARBAGE\r\n\r\n', 400, 'The request is not valid HTTP.'],
    [
      'headers that are too large',
      `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
      431,
      'larger than 16 KiB',
    ],
    [
      'two lengths',
      'POST /api/v1/keys HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}',
      400,
      'The request is not valid HTTP.',
    ],
    ['no host', 'GET /health/live HTTP/1.1\r\nConnection: close\r\n\r\n', 400, 'names its host once'],
    [
      'two hosts',
      'GET /health/live HTTP/1.1\r\nHost: localhost\r\nHost: example.com\r\nConnection: close\r\n\r\n',
      400,
      'names its host once',
    ],
    ['a tunnel', 'CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n', 404, 'There is no such route.'],
    [
      'a length and chunks',
      'POST /api/v1/keys HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
      'The request is not valid HTTP.',
    ],
  ])('broken HTTP: %s', async (_what, text, status, detail) => {
    const answer = await bytes(text);
    expect(answer).toContain(detail);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toMatch(/content-type: application\/problem\+json/i);
  });
});

it('leaves expectations alone that it does not know', async () => {
  expect((await raw({ path: '/health/live', headers: { expect: 'the-unexpected' } })).status).toBe(200);
});

it('callers that never finish headers or a body are cut off', async () => {
  const unfinished = [
    'GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Slow: ',
    'POST /api/v1/keys HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
  ];
  const closed = unfinished.map(async (text) => {
    const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
    socket.write(text);
    socket.resume();
    await once(socket, 'close');
  });
  await Promise.all(closed);
});

describe('request ids', () => {
  it('are taken over when they are harmless, and minted otherwise', async () => {
    const given = (id: string): Promise<Raw> => raw({ path: '/nope', headers: { 'x-request-id': id } });
    expect((await given('trace-1:a/b=c')).headers['x-request-id']).toBe('trace-1:a/b=c');
    for (const id of ['', 'x'.repeat(129), 'a b', '<script>', 'a"b', '{}']) {
      const answer = await given(id);
      expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
      expectProblem(answer, 404, 'not_found');
    }
  });

  it('are in every log line of the request, with the trace of its caller, and no query is', async () => {
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    await raw({
      method: 'POST',
      path: '/api/v1/keys?token=canary-query',
      body: '{"name":"x"}',
      headers: {
        'content-type': 'application/json',
        'x-request-id': 'my-request',
        traceparent: `00-${trace}-00f067aa0ba902b7-01`,
        'x-admin-secret': 'canary-admin-secret',
        authorization: 'Bearer canary-bearer-token',
        cookie: 'session=canary-cookie',
      },
    });
    const line = await service.untilLogged((one) => one['request_id'] === 'my-request' && one['status'] !== undefined);
    expect(line).toMatchObject({
      method: 'POST',
      path: '/api/v1/keys',
      route: '/api/v1/keys',
      status: 401,
      trace_id: trace,
    });
    expect(service.output()).not.toContain('canary');
    expect(service.output()).not.toContain(service.adminSecret);
  });

  it('cannot be used to forge lines', async () => {
    await raw({ path: '/x%0a%0d%7b%22level%22:%22fatal%22%7d%1b[31m' });
    await bytes('GET /a\u009b HTTP/1.1\r\nHost: localhost\r\nUser-Agent: \u009b31m\r\nX-Request-Id: a\tb\r\n\r\n');
    expect(service.logs.filter(({ level }) => level === 'raw' || level === 'fatal')).toEqual([]);
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    expect(service.output()).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });
});

describe('response headers', () => {
  it('keep browsers from guessing, framing and leaking', async () => {
    const requests = ['/health/live', '/nope', '/docs', '/api/v1/keys'].map((path) => ({ path }));
    for (const request of [...requests, { path: '/docs', headers: { host: 'example.com' } }]) {
      const { headers } = await raw(request);
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'x-frame-options': 'SAMEORIGIN',
      });
      expect(headers['x-powered-by']).toBeUndefined();
      expect(headers['server']).toBeUndefined();
      expect(headers['access-control-allow-credentials']).toBeUndefined();
    }
  });
});

describe('metrics', () => {
  it('are for callers on this machine and for the admin, with routes instead of paths', async () => {
    const local = await raw({ path: '/metrics' });
    expect([local.status, local.headers['content-type']]).toEqual([200, expect.stringMatching(/^text\/plain/)]);
    expect(local.body).toMatch(/nova_http_request_duration_seconds_count\{[^}]*route="\/api\/v1\/keys"/);
    expect(local.body).not.toMatch(/\/nope/);
    const behind = { path: '/metrics', headers: { 'x-forwarded-for': '203.0.113.1' } };
    expectProblem(await raw(behind), 401, 'unauthenticated');
    expect(
      (await raw({ ...behind, headers: { ...behind.headers, 'x-admin-secret': service.adminSecret } })).status,
    ).toBe(200);
  });
});

it('HEAD answers like GET without a body', async () => {
  expect(await raw({ method: 'HEAD', path: '/health/live' })).toMatchObject({ status: 200, body: '' });
});
