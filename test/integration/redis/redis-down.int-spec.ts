/** @needs redis-server */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { RedisSharedState } from '../../../src/platform/redis/index.js';
import { eventually } from '../../support/eventually.js';
import { privateRedis, works, type PrivateRedis } from './private-redis.js';

const never = new AbortController().signal;
/** A call that waits for the server would take for ever; one that respects the second has room to spare on a busy machine. */
const BOUND_MS = 15_000;

async function timed<T>(work: Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work;
  expect(performance.now() - start).toBeLessThan(BOUND_MS);
  return result;
}

/** What every port answers without a server. */
async function expectNeutral(state: RedisSharedState): Promise<void> {
  expect(await timed(state.live.get('key'))).toBeNull();
  await timed(state.live.set('key', 'value', 60_000));
  await timed(state.live.release('key', 'value'));
  expect(await timed(state.agents.get('a'))).toBeNull();
  await timed(state.agents.put('a', 1));
  await timed(state.agents.remove('a'));
  expect(await timed(state.agents.all())).toBeNull();
  await timed(state.agents.markComplete(['a']));
}

/** Works without a server. */
async function expectLocalService(state: RedisSharedState): Promise<void> {
  const waiting = state.bell.wait(60_000, never);
  await timed(state.bell.ring([randomUUID()]));
  expect(await waiting).toBe(true);
  await timed(state.bell.ring([randomUUID()]));
  expect(await state.bell.wait(60_000, never)).toBe(true);
  expect(await state.bell.wait(20, never)).toBe(false);

  const heard: unknown[] = [];
  const leave = state.bus.subscribe('down', (message) => heard.push(message));
  await timed(state.bus.publish('down', 'own'));
  expect(heard).toEqual(['own']);
  expect(state.bus.connected).toBe(false);
  leave();

  const key = randomUUID();
  expect(await timed(state.limiter.take(key, 1, 60))).toMatchObject({ allowed: true, remaining: 0 });
  expect((await timed(state.limiter.take(key, 1, 60))).allowed).toBe(false);
}

describe('without Redis', () => {
  let redis: PrivateRedis;
  beforeAll(async () => {
    redis = await privateRedis();
  });
  afterAll(() => redis.close());

  it('a service that started first finds it later', async () => {
    await redis.server.kill();
    const state = redis.start();
    expect(state.health.outage()).toEqual({ sinceMs: -Infinity, reason: expect.any(String) });
    await expectNeutral(state);
    await expectLocalService(state);
    await eventually('the reason is known', () => state.health.outage()?.reason === 'the connection was refused');
    await redis.server.start();
    await eventually('it is found', () => works(state));
  });

  it('a killed server is noticed, done without, and found again', async () => {
    const state = await redis.connect();
    await redis.server.kill();
    const outage = await eventually('the outage is known', () => state.health.outage());
    expect(outage.sinceMs).toBeGreaterThan(0);
    await eventually('listeners know', () => !state.bus.connected);
    await expectNeutral(state);
    await expectLocalService(state);
    expect(state.health.outage()?.sinceMs).toBe(outage.sinceMs);
    await redis.server.start();
    await eventually('it is found', () => works(state));
    await state.live.set('key', 'value', 60_000);
    expect(await state.live.get('key')).toBe('value');
  });

  it('a frozen server holds nobody for longer than a second, and is used again when it goes on', async () => {
    const state = await redis.connect();
    const waiting = state.bell.wait(60_000, never);
    redis.server.pause();
    try {
      expect(await timed(state.live.get('key'))).toBeNull();
      await eventually('the outage is known', () => state.health.outage() !== null && !state.bus.connected);
      await expectNeutral(state);
      await timed(state.bell.ring([randomUUID()]));
      expect(await waiting).toBe(true);
      await expectLocalService(state);
    } finally {
      redis.server.resume();
    }
    await eventually('it is used again', () => works(state));
    const again = state.bell.wait(60_000, never);
    const other = await redis.connect();
    await other.bell.ring([randomUUID()]);
    expect(await again).toBe(true);
  });

  it('a waiter does not keep the processor busy', async () => {
    const state = await redis.connect();
    await redis.server.kill();
    await eventually('the outage is known', () => state.health.outage());
    const before = process.cpuUsage();
    expect(await state.bell.wait(1_500, never)).toBe(false);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(1_000);
    await redis.server.start();
    await eventually('it is found', () => works(state));
  });

  it('a store that missed a write while the server was away drops what is stale', async () => {
    const [state, other] = [await redis.connect(), await redis.connect()];
    await state.agents.put('stale', 'old');
    await state.agents.put('kept', 'kept');
    await state.agents.markComplete(['stale', 'kept']);
    expect((await other.agents.all())?.size).toBe(2);
    // The server keeps its data: only the connections are lost.
    redis.server.pause();
    await eventually('the outage is known', () => state.health.outage());
    await state.agents.put('stale', 'new');
    redis.server.resume();
    await eventually('it is used again', () => works(state) && works(other));
    await eventually('the stale record is gone for all', async () => (await other.agents.get('stale')) === null);
    expect(await other.agents.get('kept')).toBe('kept');
    expect(await other.agents.all()).toBeNull();
  });

  it('a stopped state refuses like a lost one', async () => {
    const state = await redis.connect();
    const waiting = state.bell.wait(60_000, never);
    await state.stop();
    expect(await waiting).toBe(false);
    await expectNeutral(state);
    expect(state.health.outage()).not.toBeNull();
  });
});
