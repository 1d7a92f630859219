import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { startRedis, type TestRedis } from '../../support/servers/index.js';
import { startService, type Service } from '../../support/service.js';

/** A promise of the contract, in milliseconds. */
const REVOKED_EVERYWHERE_WITHIN = 5_000;

describe('a revoked key', () => {
  let redis: TestRedis;
  let database: TestDatabase;
  let here: Service;
  let there: Service;

  beforeAll(async () => {
    [redis, database] = await Promise.all([startRedis(), createTestDatabase()]);
    const env = { REQUIRE_AUTH: 'true', DATABASE_URL: database.url, REDIS_URL: redis.url };
    [here, there] = await Promise.all([startService(env), startService(env)]);
  });
  afterAll(async () => {
    await Promise.all([here.stop(), there.stop()]);
    await Promise.all([redis.stop(), database.drop()]);
  });

  const validate = async (service: Service, key: string): Promise<number> =>
    (await service.fetch('/api/v1/keys/validate', { headers: { 'x-api-key': key } })).status;

  /** Uses a key on both processes, revokes it on one, and measures until the other refuses it. */
  async function revokeAndMeasure(): Promise<number> {
    const key = await here.createKey();
    expect([await validate(here, key.raw_key), await validate(there, key.raw_key)]).toEqual([200, 200]);
    // So that the other process remembers it at the moment of the revocation.
    const load = setInterval(() => void validate(there, key.raw_key), 20);
    try {
      expect((await here.admin(`/api/v1/keys/${key.id}`, { method: 'DELETE' })).status).toBe(204);
      const revokedAt = performance.now();
      expect(await validate(here, key.raw_key)).toBe(401);
      while ((await validate(there, key.raw_key)) === 200) {
        if (performance.now() - revokedAt > 30_000) throw new Error('the key still works in the other process');
      }
      return performance.now() - revokedAt;
    } finally {
      clearInterval(load);
    }
  }

  /** Follows a stream of the other process with a key, revokes the key here, and measures until the stream ends. */
  async function revokeWhileReading(): Promise<number> {
    const key = await here.createKey();
    const stream = await there.fetch('/api/v1/pipeline/notifications/stream', {
      headers: { 'x-api-key': key.raw_key },
    });
    expect(stream.status).toBe(200);
    expect((await here.admin(`/api/v1/keys/${key.id}`, { method: 'DELETE' })).status).toBe(204);
    const revokedAt = performance.now();
    await stream.text();
    return performance.now() - revokedAt;
  }

  it('ends the streams it opened', async () => {
    expect(await revokeWhileReading()).toBeLessThan(REVOKED_EVERYWHERE_WITHIN);
  });

  it('is refused by the process that revoked it at once, and by every other one within 5 seconds', async () => {
    expect(await revokeAndMeasure()).toBeLessThan(REVOKED_EVERYWHERE_WITHIN);
  });

  it('is refused as fast when no message can tell of it', async () => {
    await redis.kill();
    expect(await revokeWhileReading()).toBeLessThan(REVOKED_EVERYWHERE_WITHIN);
    expect(await revokeAndMeasure()).toBeLessThan(REVOKED_EVERYWHERE_WITHIN);
  });
});
