/** @needs redis-server */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { generateApiKey } from '../../../src/modules/auth/api-key.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { startRedis, type TestRedis } from '../../support/servers/index.js';
import { startService, type Service, type Settings } from '../../support/service.js';

interface Readiness {
  status: string;
  error: Record<string, { status: string; reason?: string }>;
  details: Record<string, { status: string; reason?: string }>;
}

const services: Service[] = [];
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.kill()));
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(env: Settings): Promise<Service> {
  const service = await startService(env, { listening: true });
  services.push(service);
  return service;
}

async function readiness(service: Service): Promise<{ code: number } & Readiness> {
  const answer = await service.fetch('/health/ready');
  return { code: answer.status, ...((await answer.json()) as Readiness) };
}

/** A server that takes connections and never says a word. */
async function blackHole(): Promise<number> {
  const server: Server = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(async () => server.close());
  return (server.address() as AddressInfo).port;
}

/** Two processes without Redis on one database. The second waits for a while before it ends: the other tests pass meanwhile. */
let twins: { first: Service; second: Service; live: number; ready: number };
beforeAll(async () => {
  const first = await startService();
  const second = await startService({ DATABASE_URL: first.database?.url ?? '' }, { listening: true });
  const [{ status: live }, { code: ready }] = await Promise.all([second.fetch('/health/live'), readiness(second)]);
  twins = { first, second, live, ready };
});
afterAll(async () => {
  await Promise.all([twins?.second.kill(), twins?.first.kill()]);
});

it('a disk that is nearly full refuses new work, and leaves the service ready and its reads', async () => {
  // More than any disk has.
  const service = await startService({ DISK_MIN_FREE: '8000TiB' });
  services.push(service);
  expect(await readiness(service)).toMatchObject({ code: 200, details: { disk: { status: 'degraded' } } });
  const agent = { config: { name: 'asked', model: 'script/demo' } };
  const made = await service.admin('/api/v1/agents', { method: 'POST', json: agent });
  const { id } = (await made.json()) as { id: string };
  for (const [path, json] of <[string, object][]>[
    ['/api/v1/pipeline/tasks', { user_input: 'Anything.', pod_name: 'Quick Reply' }],
    ['/api/v1/tasks', { agent_id: id, messages: [{ role: 'user', content: 'Anything.' }] }],
    ['/api/v1/chat/stream', { messages: [{ role: 'user', content: 'Anything.' }] }],
  ]) {
    const answer = await service.admin(path, { method: 'POST', json });
    expect([path, answer.status, await answer.json()]).toEqual([
      path,
      503,
      expect.objectContaining({ code: 'storage_full' }),
    ]);
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
  }
  expect((await service.admin('/api/v1/pipeline/tasks')).status).toBe(200);
});

describe('a database that is down at the start', () => {
  it.each<[string, () => Promise<string>]>([
    ['refuses connections', async () => 'postgres://nova:canary-password@127.0.0.1:9/nova'],
    ['does not answer', async () => `postgres://nova:canary-password@127.0.0.1:${await blackHole()}/nova`],
    ['cannot be found', async () => 'postgres://nova:canary-password@nova.invalid/nova'],
  ])('and %s leaves the service alive, unready with a reason, and its routes at 503', async (_what, url) => {
    const service = await start({ DATABASE_URL: await url() });
    expect((await service.fetch('/health/live')).status).toBe(200);
    const ready = await readiness(service);
    expect(ready).toMatchObject({
      code: 503,
      status: 'error',
      error: { database: { status: 'down', reason: expect.any(String) } },
    });
    for (const headers of <Record<string, string>[]>[
      { 'x-admin-secret': service.adminSecret },
      { 'x-api-key': generateApiKey(), 'x-admin-secret': service.adminSecret },
    ]) {
      const answer = await service.fetch('/api/v1/keys', { headers });
      expect(answer.status).toBe(503);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
      expect(await answer.json()).toMatchObject({ code: 'dependency_unavailable' });
    }
    expect((await service.fetch('/openapi.json')).status).toBe(200);
    expect(service.output() + JSON.stringify(ready)).not.toContain('canary-password');
  });

  it('is used as soon as it is there', async () => {
    const made: TestDatabase = await createTestDatabase();
    cleanups.push(() => made.drop());
    // The database exists, but nobody may enter yet.
    const name = new URL(made.url).pathname.slice(1);
    await made.database.close();
    const { execute } = await import('../../support/servers/test-servers.js');
    const admin = process.env['NOVA_TEST_PG_URL'] ?? '';
    await execute(admin, `alter database ${name} with allow_connections false`);
    const service = await start({ DATABASE_URL: made.url });
    expect((await readiness(service)).code).toBe(503);
    await execute(admin, `alter database ${name} with allow_connections true`);
    await service.untilReady();
    expect((await service.admin('/api/v1/keys')).status).toBe(200);
  });
});

describe('a Redis that is down at the start', () => {
  it('leaves the service alive, unready with a reason, and every route working', async () => {
    const redis: TestRedis = await startRedis();
    cleanups.push(() => redis.stop());
    await redis.kill();
    const service = await start({ REQUIRE_AUTH: 'true', REDIS_URL: redis.url.replace('//', '//:canary-password@') });
    await service.untilLogged((line) => /start step database is done/i.test(line.message));
    expect(await readiness(service)).toMatchObject({
      code: 503,
      error: { redis: { status: 'down', reason: expect.any(String) } },
    });
    const key = await service.createKey();
    expect((await service.fetch('/api/v1/keys/validate', { headers: { 'x-api-key': key.raw_key } })).status).toBe(200);
    expect(service.output()).not.toContain('canary-password');
  });

  it('is used as soon as it is there, and may go away for a moment', async () => {
    const redis = await startRedis();
    cleanups.push(() => redis.stop());
    await redis.kill();
    const service = await start({ REDIS_URL: redis.url });
    expect((await readiness(service)).code).toBe(503);
    await redis.start();
    await service.untilReady();
    const lost = performance.now();
    await redis.kill();
    const codes: number[] = [];
    while (codes.at(-1) !== 503 && performance.now() - lost < 30_000) codes.push((await readiness(service)).code);
    expect(codes[0]).toBe(200);
    expect(codes.at(-1)).toBe(503);
    // The moment that it may be away counts from its last answer.
    expect(performance.now() - lost).toBeGreaterThan(5_000);
    await redis.start();
    await service.untilReady();
  });
});

it('a model provider that is down is no reason to be unready', async () => {
  const service = await start({
    LLM_BASE_URL: 'http://127.0.0.1:9',
    LLM_API_KEY: 'canary-key',
    DEFAULT_CHAT_MODEL: '',
  });
  await service.untilReady();
  expect(service.output()).not.toContain('canary-key');
});

it('a second process without Redis on the same database ends with that reason', async () => {
  const { first, second, live, ready } = twins;
  expect(live).toBe(200);
  expect(ready).toBe(503);
  expect(await second.exited).toBe(1);
  expect(second.output()).toMatch(/REDIS_URL/);
  expect((await readiness(first)).code).toBe(200);
});
