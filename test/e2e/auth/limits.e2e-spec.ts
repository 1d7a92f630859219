import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { get } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generateApiKey } from '../../../src/modules/auth/api-key.js';
import { eventually } from '../../support/eventually.js';
import { api, type Answer, type Api } from '../../support/openapi.js';
import { PipelineClient } from '../../support/pipeline-client.js';
import { startService, type Service } from '../../support/service.js';

const VALIDATE = '/api/v1/keys/validate';

describe('a service that trusts one proxy', () => {
  let service: Service;
  let client: Api;
  beforeAll(async () => {
    service = await startService({ REQUIRE_AUTH: 'true', TRUST_PROXY: '1' });
    client = await api(service);
  });
  afterAll(() => service.stop());

  const guess = (
    address: string,
    headers: Record<string, string> = { 'x-api-key': generateApiKey() },
  ): Promise<Answer> => client.call('GET', VALIDATE, { headers: { ...headers, 'x-forwarded-for': address } });

  it('tells an address that guesses to wait, and lets valid credentials pass from there', async () => {
    const key = await service.createKey();
    const statuses: number[] = [];
    for (let count = 0; count < 25; count += 1) statuses.push((await guess('203.0.113.1')).status);
    expect(statuses).toEqual([...Array<number>(20).fill(401), ...Array<number>(5).fill(429)]);
    const refused = await guess('203.0.113.1');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await guess('203.0.113.1', { 'x-api-key': key.raw_key })).status).toBe(200);
    expect((await guess('203.0.113.1', { 'x-admin-secret': service.adminSecret })).status).toBe(200);
    expect((await guess('203.0.113.2')).status).toBe(401);
  });

  it('counts wrong admin secrets too', async () => {
    const wrong = (): Promise<Answer> =>
      client.call('GET', '/api/v1/keys', { headers: { 'x-admin-secret': 'guess', 'x-forwarded-for': '203.0.113.3' } });
    const statuses: number[] = [];
    for (let count = 0; count < 22; count += 1) statuses.push((await wrong()).status);
    expect(statuses).toEqual([...Array<number>(20).fill(403), 429, 429]);
  });

  it('counts a wrong credential whatever stands beside it, and refuses it past the limit', async () => {
    const { raw_key: valid } = await service.createKey({ rate_limit_rpm: null });
    const pairs: [address: string, path: string, headers: Record<string, string>, below: number][] = [
      ['203.0.113.6', VALIDATE, { 'x-api-key': valid, 'x-admin-secret': 'guess' }, 200],
      ['203.0.113.7', '/api/v1/keys', { authorization: `Bearer ${valid}`, 'x-admin-secret': 'guess' }, 403],
      ['203.0.113.8', VALIDATE, { 'x-api-key': generateApiKey(), 'x-admin-secret': service.adminSecret }, 401],
      ['203.0.113.9', VALIDATE, { 'x-api-key': valid, authorization: `Bearer ${generateApiKey()}` }, 401],
    ];
    for (const [address, path, headers, below] of pairs) {
      const call = (): Promise<Answer> =>
        client.call('GET', path, { headers: { ...headers, 'x-forwarded-for': address } });
      const statuses: number[] = [];
      for (let count = 0; count < 22; count += 1) statuses.push((await call()).status);
      expect([address, statuses]).toEqual([address, [...Array<number>(20).fill(below), 429, 429]]);
      expect((await guess(address, { 'x-api-key': valid })).status).toBe(200);
    }
  });

  it('does not count requests without a credential', async () => {
    for (let count = 0; count < 25; count += 1) expect((await guess('203.0.113.4', {})).status).toBe(401);
  });

  it('believes only what its proxy appended', async () => {
    const statuses: number[] = [];
    for (let count = 0; count < 22; count += 1) statuses.push((await guess(`10.0.0.${count}, 203.0.113.5`)).status);
    expect(statuses.slice(20)).toEqual([429, 429]);
  });

  it('counts an IPv6 network of 2^64 addresses as one client', async () => {
    const statuses: number[] = [];
    for (let count = 0; count < 22; count += 1)
      statuses.push((await guess(`2001:db8:0:1::${count.toString(16)}`)).status);
    expect(statuses.slice(20)).toEqual([429, 429]);
    expect((await guess('2001:db8:0:2::1')).status).toBe(401);
  });
});

describe('a service that trusts no proxy', () => {
  let service: Service;
  let client: Api;
  beforeAll(async () => {
    service = await startService({ ANON_RATE_LIMIT_RPM: '5' });
    client = await api(service);
  });
  afterAll(() => service.stop());

  it('is not fooled by X-Forwarded-For', async () => {
    const statuses: number[] = [];
    for (let count = 0; count < 22; count += 1) {
      const headers = {
        'x-api-key': generateApiKey(),
        'x-forwarded-for': `203.0.113.${count}`,
        forwarded: `for=203.0.113.${count}`,
      };
      statuses.push((await client.call('GET', VALIDATE, { headers })).status);
    }
    expect(statuses.slice(19)).toEqual([401, 429, 429]);
  });

  it('gives an anonymous address its requests a minute, and takes none of them for keys', async () => {
    const answers: Answer[] = [];
    for (let count = 0; count < 7; count += 1) {
      answers.push(await client.call('GET', '/api/v1/pods', { headers: { 'x-forwarded-for': `203.0.113.${count}` } }));
    }
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 429, 429]);
    expect(answers[0]?.headers.get('ratelimit-policy')).toBe('"requests";q=5;w=60');
    const key = await service.createKey();
    expect((await client.call('GET', '/api/v1/pods', { as: key.raw_key })).status).toBe(200);
    expect((await client.call('GET', '/api/v1/pods', { as: 'admin' })).status).toBe(200);
  });

  it('gives a key its requests a minute, and says how many are left', async () => {
    const key = await service.createKey({ rate_limit_rpm: 3 });
    const answers: Answer[] = [];
    for (let count = 0; count < 5; count += 1) answers.push(await client.call('GET', VALIDATE, { as: key.raw_key }));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429, 429]);
    expect(answers[0]?.headers.get('ratelimit-policy')).toBe('"requests";q=3;w=60');
    expect(answers.map(({ headers }) => /r=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1])).toEqual([
      '2',
      '1',
      '0',
      '0',
      '0',
    ]);
    expect(Number(answers[3]?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(answers[0]?.headers.get('retry-after')).toBeNull();
  });

  it('limits neither the admin nor keys without a limit', async () => {
    const key = await service.createKey({ rate_limit_rpm: null });
    for (let count = 0; count < 70; count += 1) {
      const { status, headers } = await client.call('GET', VALIDATE, { as: count % 2 ? 'admin' : key.raw_key });
      expect([status, headers.get('ratelimit')]).toEqual([200, null]);
    }
  });
});

describe('event streams', () => {
  const NOTIFICATIONS = '/api/v1/pipeline/notifications/stream';
  let service: Service;
  beforeAll(async () => {
    service = await startService({ MAX_STREAMS: '4', MAX_KEY_STREAMS: '2' });
  });
  afterAll(() => service.stop());

  it('are so many for a key and for the process, and give their places back', async () => {
    const [one, two] = [await service.createKey({ rate_limit_rpm: null }), await service.createKey()];
    const readers: AbortController[] = [];
    const open = async (headers: Record<string, string>, path = NOTIFICATIONS): Promise<Response> => {
      const reader = new AbortController();
      readers.push(reader);
      return service.fetch(path, { headers, signal: reader.signal });
    };
    const as = ({ raw_key: key }: { raw_key: string }): Record<string, string> => ({ 'x-api-key': key });
    const attempts = await Promise.all(Array.from({ length: 6 }, () => open(as(one))));
    expect(attempts.filter(({ status }) => status === 200)).toHaveLength(2);
    expect(attempts.filter(({ status }) => status === 429)).toHaveLength(4);
    const refused = attempts.find(({ status }) => status === 429);
    expect(refused?.headers.get('retry-after')).toBe('5');
    expect(await refused?.json()).toMatchObject({
      code: 'rate_limited',
      detail: 'This key may hold 2 event streams open at a time.',
    });
    expect((await service.fetch('/api/v1/pods', { headers: as(one) })).status).toBe(200);
    const pipeline = await PipelineClient.of(service);
    const { name } = await pipeline.createPod('script/demo');
    const submitted = await pipeline.api.call('POST', '/api/v1/pipeline/tasks', {
      as: one.raw_key,
      json: { user_input: 'do the work', pod_name: name },
    });
    const told = `/api/v1/pipeline/tasks/${submitted.body.task_id}/events`;
    expect((await open(as(one), told)).status).toBe(429);
    expect((await open(as(one), `${told}?wait=false`)).status).toBe(200);

    expect((await open(as(two))).status).toBe(200);
    expect((await open({})).status).toBe(200);
    expect(await (await open({ 'x-admin-secret': service.adminSecret })).json()).toMatchObject({
      code: 'rate_limited',
      detail: 'This process holds 4 event streams open, and takes no more.',
    });
    for (const reader of readers) reader.abort();
    // An answer that is no stream gives its place back as well, a moment after it is there.
    const missing = (): Promise<Response> => open(as(one), `/api/v1/tasks/${randomUUID()}/events`);
    for (let count = 0; count < 8;) count += (await missing()).status === 404 ? 1 : 0;
    expect((await open(as(one))).status).toBe(200);
    for (const reader of readers) reader.abort();
  });

  it('are counted without a word when many wait on one connection', async () => {
    const roomy = await startService();
    const socket = connect(Number(new URL(roomy.url).port), '127.0.0.1');
    const request = `GET /api/v1/tasks/${randomUUID()}/events HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    let answers = '';
    socket.on('data', (data: Buffer) => (answers += data.toString()));
    socket.write(request.repeat(20));
    await eventually('all are answered', () => answers.match(/HTTP\/1\.1 404/g)?.length === 20);
    socket.destroy();
    await roomy.stop();
    expect(roomy.output()).not.toContain('MaxListenersExceededWarning');
  });
});

describe('connections', () => {
  const opened: Socket[] = [];
  const services: Service[] = [];
  afterAll(async () => {
    opened.forEach((socket) => socket.destroy());
    for (const service of services) await service.stop();
  });

  const start = async (settings: Record<string, string>): Promise<Service> => {
    const service = await startService({ MAX_ADDRESS_CONNECTIONS: '20', ...settings });
    services.push(service);
    return service;
  };
  /** Connections that have sent `text`, by whether the service has left them open. */
  const open = async (service: Service, count: number, text: string, from: string): Promise<Socket[]> => {
    const sockets = Array.from({ length: count }, () => {
      const socket = connect({ port: Number(new URL(service.url).port), host: '127.0.0.1', localAddress: from });
      socket.on('error', () => undefined).write(text);
      return socket;
    });
    opened.push(...sockets);
    await Promise.all(sockets.map((socket) => once(socket, 'connect').catch(() => undefined)));
    return sockets;
  };
  const answers = (service: Service, from: string): Promise<boolean> =>
    new Promise((resolve) => {
      const request = get(`${service.url}/health/live`, { localAddress: from, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      });
      request.on('error', () => resolve(false));
    });

  it('of one address are bounded, and shut nobody else out', async () => {
    const service = await start({});
    // Half a request: its headers never end.
    const sockets = await open(service, 60, 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n', '127.0.0.2');
    await eventually('those past the bound are closed', () => sockets.filter((one) => one.closed).length === 40);
    expect([await answers(service, '127.0.0.2'), await answers(service, '127.0.0.3')]).toEqual([false, true]);
    sockets.forEach((socket) => socket.destroy());
    await eventually('their places are free again', () => answers(service, '127.0.0.2'));
  });

  it('of a proxy count only until their first request is there', async () => {
    const service = await start({ TRUST_PROXY: '1' });
    const request = 'GET /api/v1/pipeline/notifications/stream HTTP/1.1\r\nHost: localhost\r\n';
    const streams = await open(service, 20, `${request}\r\n`, '127.0.0.2');
    await Promise.all(streams.map((socket) => once(socket, 'data')));
    const more = await open(service, 20, `${request}\r\n`, '127.0.0.2');
    await Promise.all(more.map((socket) => once(socket, 'data')));
    const half = await open(service, 30, request, '127.0.0.2');
    await eventually('half requests are bounded', () => half.filter((one) => one.closed).length === 10);
    expect([...streams, ...more].some((one) => one.closed)).toBe(false);
  });
});
