import { describe, expect, it } from '@jest/globals';
import { Clock } from '../../platform/clock/index.js';
import { InProcessSharedState } from '../../platform/redis/index.js';
import type { ApiKeysRepository, KeyVerdict } from './api-keys.repository.js';
import { KeyCache } from './key-cache.js';

class HandClock extends Clock {
  ms = 0;
  override monotonicMs(): number {
    return this.ms;
  }
}

const KEY: KeyVerdict = { id: 'id-1', name: 'a', isActive: true, rateLimitRpm: null, expiresInMs: null };

/** A repository whose answers the test gives. */
class HandRepository {
  lookUps = 0;
  answer: KeyVerdict | null = KEY;
  hold: Promise<void> | null = null;
  async findByHash(): Promise<KeyVerdict | null> {
    this.lookUps += 1;
    const { answer } = this;
    await this.hold;
    return answer;
  }
}

async function setup(): Promise<{ cache: KeyCache; clock: HandClock; keys: HandRepository }> {
  const [clock, keys] = [new HandClock(), new HandRepository()];
  const { bus } = new InProcessSharedState(clock);
  const cache = new KeyCache(keys as unknown as ApiKeysRepository, clock, bus);
  // The bus begins to deliver, which empties the cache.
  await new Promise((resolve) => setImmediate(resolve));
  return { cache, clock, keys };
}

describe('the cache of keys', () => {
  it('remembers a key for less than the 5 seconds that a revocation may take', async () => {
    const { cache, clock, keys } = await setup();
    await cache.find('h');
    keys.answer = { ...KEY, isActive: false };
    clock.ms = 3_000;
    expect(await cache.find('h')).toEqual(KEY);
    clock.ms = 3_001;
    expect(await cache.find('h')).toBeNull();
    expect(keys.lookUps).toBe(2);
  });

  it('asks once for many requests at once', async () => {
    const { cache, keys } = await setup();
    await Promise.all(Array.from({ length: 50 }, () => cache.find('h')));
    expect(keys.lookUps).toBe(1);
  });

  it('lets a key expire while it is remembered', async () => {
    const { cache, clock, keys } = await setup();
    keys.answer = { ...KEY, expiresInMs: 1_000 };
    expect(await cache.find('h')).not.toBeNull();
    clock.ms = 999;
    expect(await cache.find('h')).not.toBeNull();
    clock.ms = 1_000;
    expect(await cache.find('h')).toBeNull();
  });

  it('forgets a revoked key at once, also when an older answer is still on its way', async () => {
    const { cache, keys } = await setup();
    await cache.find('h');
    await cache.announceRevocation('id-1');
    keys.answer = { ...KEY, isActive: false };
    expect(await cache.find('h')).toBeNull();

    const other = await setup();
    let release = (): void => undefined;
    other.keys.hold = new Promise((resolve) => (release = resolve));
    const late = other.cache.find('h');
    await other.cache.announceRevocation('id-1');
    other.keys.answer = { ...KEY, isActive: false };
    other.keys.hold = null;
    expect(await other.cache.find('h')).toBeNull();
    release();
    await late;
    expect(await other.cache.find('h')).toBeNull();
  });

  it('does not remember unknown keys, and not more than ten thousand known ones', async () => {
    const { cache, keys } = await setup();
    keys.answer = null;
    await cache.find('x');
    await cache.find('x');
    expect(keys.lookUps).toBe(2);
    keys.answer = KEY;
    for (let count = 0; count < 10_001; count += 1) await cache.find(`h${count}`);
    keys.lookUps = 0;
    await cache.find('h10000');
    expect(keys.lookUps).toBe(0);
    await cache.find('h0');
    expect(keys.lookUps).toBe(1);
  });

  it('passes on that the database is away, and asks again', async () => {
    const { cache, keys } = await setup();
    keys.hold = Promise.reject(new Error('away'));
    await expect(cache.find('h')).rejects.toThrow('away');
    keys.hold = null;
    expect(await cache.find('h')).toEqual(KEY);
  });
});
