/** @needs redis-server */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';
import { startRedis, type TestRedis } from '../../support/servers/index.js';
import { startService, type Service } from '../../support/service.js';

// That it takes 5 seconds at most follows from how long a key is remembered: see key-cache.spec.ts.

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

  /** Uses a key on both processes, revokes it on one, and waits until the other refuses it too. */
  async function revoke(): Promise<void> {
    const key = await here.createKey();
    expect([await validate(here, key.raw_key), await validate(there, key.raw_key)]).toEqual([200, 200]);
    // So that the other process remembers it at the moment of the revocation.
    const load = setInterval(() => void validate(there, key.raw_key).catch(() => undefined), 20);
    try {
      expect((await here.admin(`/api/v1/keys/${key.id}`, { method: 'DELETE' })).status).toBe(204);
      expect(await validate(here, key.raw_key)).toBe(401);
      await eventually('the other process refuses the key', async () => (await validate(there, key.raw_key)) === 401);
    } finally {
      clearInterval(load);
    }
  }

  /** Follows a stream of the other process with a key, revokes the key here, and waits until the stream ends. */
  async function revokeWhileReading(): Promise<void> {
    const key = await here.createKey();
    const stream = await there.fetch('/api/v1/pipeline/notifications/stream', {
      headers: { 'x-api-key': key.raw_key },
    });
    expect(stream.status).toBe(200);
    expect((await here.admin(`/api/v1/keys/${key.id}`, { method: 'DELETE' })).status).toBe(204);
    await stream.text();
  }

  it('ends the streams it opened', () => revokeWhileReading());

  it('is refused by the process that revoked it at once, and then by every other one', () => revoke());

  it('is refused also when no message can tell of it', async () => {
    await redis.kill();
    await revokeWhileReading();
    await revoke();
  });
});
