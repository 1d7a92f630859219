import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { checkedFetch, type CheckedFetch } from '../../../src/modules/mcp/transports/checked-fetch.js';

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

it.each(['file://127.0.0.1/etc/passwd', 'http://a:b@127.0.0.1/'])('refuses a redirect to %s', async (target) => {
  await expect(get(to(target))).rejects.toThrow();
});

it('bounds an answer, and each event of a stream', async () => {
  await expect((await get('/big')).text()).rejects.toThrow();
  expect((await (await get('/events')).text()).length).toBeGreaterThan(6_000_000);
});
