import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { checkedFetch, type CheckedFetch } from '../../../src/modules/mcp/transports/checked-fetch.js';
import { EgressRefusedError, type Resolve } from '../../../src/platform/egress/index.js';

let server: Server;
let base = '';
let checked: CheckedFetch;
beforeAll(async () => {
  server = createServer((request, response) => {
    const [, kind = '', value = ''] = /^\/([a-z]+)\/?(.*)$/.exec(request.url ?? '') ?? [];
    if (kind === 'to') return void response.writeHead(302, { location: decodeURIComponent(value) }).end('go');
    if (kind === 'keep') return void response.writeHead(307, { location: '/end' }).end();
    if (kind === 'hops') {
      const left = Number(value);
      return void response.writeHead(307, { location: left > 1 ? `/hops/${left - 1}` : '/end' }).end();
    }
    if (kind === 'big')
      return void response.writeHead(200, { 'content-type': 'application/json' }).end('x'.repeat(5_000_000));
    if (kind === 'events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let event = 0; event < 6; event += 1) response.write(`data: ${'x'.repeat(1_000_000)}\n\n`);
      return void response.end();
    }
    response.end(`${request.method} ${String(request.headers['x-token'] ?? '')}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  checked = checkedFetch(true);
});
afterAll(async () => {
  await checked.close();
  server.closeAllConnections();
  server.close();
});

const get = (path: string): Promise<Response> => checked.fetch(`${base}${path}`, { headers: { 'x-token': 't' } });
const to = (target: string): string => `/to/${encodeURIComponent(target)}`;

it('follows three redirects of the same host with method and headers, and no fourth', async () => {
  expect(await (await get('/hops/3')).text()).toBe('GET t');
  await expect(get('/hops/4')).rejects.toThrow('more than 3 times');
  expect(await (await checked.fetch(`${base}/keep`, { method: 'POST', body: '{}' })).text()).toBe('POST ');
  await expect(checked.fetch(`${base}${to('/end')}`, { method: 'POST', body: '{}' })).rejects.toThrow('method');
});

it.each(['http://localhost:1/', 'http://169.254.169.254/', '//10.0.0.1/', 'http://[::1]/'])(
  'does not follow to %s',
  async (target) => {
    await expect(get(to(target))).rejects.toThrow('another host');
  },
);

it('does not follow to another port of the same host', async () => {
  let seen = 0;
  const canary = createServer((_request, response) => response.end(`${(seen += 1)}`));
  await new Promise<void>((resolve) => canary.listen(0, '127.0.0.1', resolve));
  const { port } = canary.address() as { port: number };
  await expect(get(to(`http://127.0.0.1:${port}/`))).rejects.toThrow('another host or port');
  expect(seen).toBe(0);
  canary.close();
});

describe('a name', () => {
  let canary: Server;
  let port = 0;
  let seen = 0;
  beforeAll(async () => {
    canary = createServer((_request, response) => response.end('here'));
    canary.on('connection', () => (seen += 1));
    await new Promise<void>((resolve) => canary.listen(0, resolve));
    port = (canary.address() as { port: number }).port;
  });
  afterAll(() => {
    canary.closeAllConnections();
    canary.close();
  });

  const answering =
    (...answers: string[][]): Resolve =>
    (_name, _options, callback) => {
      const addresses = (answers.length > 1 ? answers.shift() : answers[0]) ?? [];
      callback(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    };

  it.each([
    ['has loopback only', ['127.0.0.1']],
    ['has a private AAAA only', ['::1']],
    ['has loopback in IPv6 form only', ['::ffff:127.0.0.1']],
    ['has a public and a private address', ['93.184.216.34', '127.0.0.1']],
    ['has a public and a private AAAA', ['2606:4700:4700::1111', '::1']],
  ])('is not connected to that %s', async (_what, addresses) => {
    const inside = checkedFetch(false, answering(addresses));
    const asked = inside.fetch(`http://inside.test:${port}/`);
    await expect(asked).rejects.toMatchObject({ cause: expect.any(EgressRefusedError) });
    await inside.close();
    expect(seen).toBe(0);
  });

  it('is connected to where it led when it was checked, wherever it leads after that', async () => {
    const open = checkedFetch(true, answering(['127.0.0.1'], ['169.254.169.254']));
    expect(await (await open.fetch(`http://inside.test:${port}/`)).text()).toBe('here');
    expect(seen).toBe(1);
    canary.closeAllConnections();
    // A new connection asks again, and is checked again.
    await expect(open.fetch(`http://inside.test:${port}/`)).rejects.toMatchObject({
      cause: expect.any(EgressRefusedError),
    });
    await open.close();
  });
});

it.each(['file://127.0.0.1/etc/passwd', 'http://a:b@127.0.0.1/'])('refuses a redirect to %s', async (target) => {
  await expect(get(to(target))).rejects.toThrow();
});

it('bounds an answer, and each event of a stream', async () => {
  await expect((await get('/big')).text()).rejects.toThrow();
  expect((await (await get('/events')).text()).length).toBeGreaterThan(6_000_000);
});
