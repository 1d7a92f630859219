/** @needs redis-server */
import { readdir } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { sql } from '../../src/platform/database/index.js';
import { migrate } from '../../src/platform/database/migrator.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { startRedis, type TestRedis } from '../support/servers/index.js';
import { startService, type Service } from '../support/service.js';

const PROCESSES = 8;
const STARTS = Number(process.env['NOVA_TEST_FRESH_STARTS'] ?? 3);
const LOCK = 'select pg_try_advisory_lock($1, $2) as locked';
const NO_LOCK = 'select $1::int is distinct from $2 as locked';

let redis: TestRedis;
let files: string[];
beforeAll(async () => {
  redis = await startRedis();
  files = (await readdir(fileURLToPath(new URL('../../migrations', import.meta.url)))).toSorted();
});
afterAll(() => redis?.stop());

async function onEmptyDatabase(work: (db: TestDatabase) => Promise<void>): Promise<void> {
  const db = await createTestDatabase({ empty: true });
  try {
    await work(db);
  } finally {
    await db.drop();
  }
}

describe(`${PROCESSES} processes that start at once on an empty database`, () => {
  it.each(Array.from({ length: STARTS }, (_, index) => index + 1))(
    'are all ready, and one of them ran each migration (start %i)',
    async () =>
      onEmptyDatabase(async (db) => {
        const begun = await Promise.allSettled(
          Array.from({ length: PROCESSES }, () =>
            startService({ DATABASE_URL: db.url, REDIS_URL: redis.url, LOG_LEVEL: 'INFO' }),
          ),
        );
        const services = begun.flatMap((one): Service[] => (one.status === 'fulfilled' ? [one.value] : []));
        try {
          expect(begun.filter(({ status }) => status === 'rejected')).toEqual([]);
          const logs = services.flatMap((service) => service.logs);
          const applied = logs.flatMap(({ message }) => /^Applied (\S+)\.$/.exec(message)?.[1] ?? []);
          expect(applied.toSorted()).toEqual(files);
          const stumbled = logs.filter(({ level, context }) => level !== 'info' && context === 'Startup');
          expect(stumbled).toEqual([]);
          expect(logs.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
          const seeds = await db.database.query<{ copies: number }>(
            'test.seeds',
            sql`select count(*)::int as copies from pods group by name`,
          );
          expect(seeds).toEqual(Array.from({ length: 5 }, () => ({ copies: 1 })));
        } finally {
          await Promise.all(services.map((service) => service.kill()));
        }
      }),
  );
});

describe('migrators that start at once on an empty database', () => {
  /** What each of them said, through a proxy that may take the migration lock out of what they send. */
  async function migrateAtOnce(db: TestDatabase, locked: boolean): Promise<PromiseSettledResult<string[]>[]> {
    const target = new pg.Client({ connectionString: db.url });
    const proxy = createServer((client) => {
      const upstream = target.host.startsWith('/')
        ? connect(`${target.host}/.s.PGSQL.${target.port}`)
        : connect(target.port, target.host);
      for (const socket of [client, upstream]) {
        socket.on('error', () => undefined);
        socket.on('close', () => {
          client.destroy();
          upstream.destroy();
        });
      }
      upstream.pipe(client);
      client.on('data', (data) => {
        const at = locked ? -1 : data.indexOf(LOCK);
        // The same length, since the message tells its own.
        if (at >= 0) data.write(NO_LOCK.padEnd(LOCK.length), at, 'latin1');
        upstream.write(data);
      });
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { username, password, pathname } = new URL(db.url);
    const { port } = proxy.address() as AddressInfo;
    const connectionString = `postgres://${username}:${password}@127.0.0.1:${port}${pathname}`;
    try {
      return await Promise.allSettled(Array.from({ length: PROCESSES }, () => migrate({ connectionString })));
    } finally {
      await new Promise((resolve) => proxy.close(resolve));
    }
  }

  it('wait for each other', () =>
    onEmptyDatabase(async (db) => {
      const said = await migrateAtOnce(db, true);
      expect(said.flatMap((one) => (one.status === 'fulfilled' ? one.value : [one.status]))).toEqual(files);
    }));

  it('would run into each other without the lock', () =>
    onEmptyDatabase(async (db) => {
      expect(NO_LOCK.length).toBeLessThanOrEqual(LOCK.length);
      const said = await migrateAtOnce(db, false);
      expect(said.filter(({ status }) => status === 'rejected')).not.toEqual([]);
    }));
});
