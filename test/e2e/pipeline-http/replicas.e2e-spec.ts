/** @needs redis-server */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { api, type Api } from '../../support/openapi.js';
import { startRedis, type TestRedis } from '../../support/servers/index.js';
import { startService, type Service } from '../../support/service.js';
import { framesOf, take } from './frames.js';

const PIPELINE = '/api/v1/pipeline';
const TASKS = `${PIPELINE}/tasks`;

describe('an api replica beside a worker replica', () => {
  let redis: TestRedis;
  let database: TestDatabase;
  let front: Service, worker: Service;
  let client: Api;

  beforeAll(async () => {
    [redis, database] = await Promise.all([startRedis(), createTestDatabase()]);
    const shared = { DATABASE_URL: database.url, REDIS_URL: redis.url };
    front = await startService({ ...shared, ROLES: 'api' });
    worker = await startService({ ...shared, ROLES: 'worker,scheduler' });
    client = await api(front);
  });
  afterAll(async () => {
    await Promise.all([front.stop(), worker.stop()]);
    await Promise.all([redis.stop(), database.drop()]);
  });

  const submit = async (): Promise<string> =>
    (await client.call('POST', TASKS, { as: 'admin', json: { user_input: 'x', pod_name: 'Quick Reply' } })).body
      .task_id;

  it.each(['with Redis', 'while Redis is gone', 'after Redis came back empty'])(
    'tells of the work of the other one %s',
    async (when) => {
      if (when === 'while Redis is gone') await redis.kill();
      if (when === 'after Redis came back empty') await redis.start();
      const abort = new AbortController();
      const call = { as: 'admin', signal: abort.signal };
      const notifications = framesOf(await client.stream('GET', `${PIPELINE}/notifications/stream`, call));
      for (let task = 0; task < 3; task += 1) {
        const id = await submit();
        const frames = await take(framesOf(await client.stream('GET', `${TASKS}/${id}/events`, call)), Infinity);
        expect(frames.map((frame) => frame.id)).toEqual(frames.map((_, index) => String(index + 1)));
        expect(frames.at(-1)).toMatchObject({ event: 'task.finished', data: { data: { to: 'complete' } } });
        const [told] = await take(notifications, 1);
        expect(told?.data).toMatchObject({ task_id: id, type: 'task.finished', title: 'Quick Reply: complete' });
      }
      expect((await client.call('GET', `${PIPELINE}/queue-stats`)).body.workers).toBe(1);
      abort.abort();
    },
  );
});
