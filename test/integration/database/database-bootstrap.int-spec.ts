import { chmod, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { AppConfig } from '../../../src/config/index.js';
import { Clock } from '../../../src/platform/clock/index.js';
import { Database, DatabaseBootstrap, SingleProcessError, sql } from '../../../src/platform/database/index.js';
import { LOCK_CLASS, SINGLE_PROCESS_LOCK } from '../../../src/platform/database/advisory-locks.js';
import { findPostmaster } from '../../../src/platform/embedded-postgres/postmaster.js';
import { createTestDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';
import { execute } from '../../support/servers/test-servers.js';
import { QuickClock } from '../../support/quick-clock.js';
import { hasPostgres15, startPostgres, temporaryFolder, type TestPostgres } from '../../support/servers/index.js';
import { endDatabaseProcesses, startDatabaseProcess } from './database-process.js';
import { makeCluster, type MadeCluster } from './made-cluster.js';

interface Service {
  bootstrap: DatabaseBootstrap;
  database: Database;
  starting: Promise<void>;
}

let made: MadeCluster;
let cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  await endDatabaseProcesses();
  const pending = cleanUps.reverse();
  cleanUps = [];
  for (const cleanUp of pending) await cleanUp();
});

const NEVER = new AbortController().signal;
const REDIS = { REDIS_URL: 'redis://127.0.0.1:1/2' };

function service(env: Record<string, string>, signal = NEVER, clock = new Clock()): Service {
  const database = new Database();
  const bootstrap = new DatabaseBootstrap(AppConfig.from(env), database, clock);
  cleanUps.push(() => bootstrap.stop());
  const starting = bootstrap.start(signal);
  starting.catch(() => undefined);
  return { bootstrap, database, starting };
}

async function emptyDatabase(): Promise<string> {
  const test = await createTestDatabase({ empty: true });
  await test.database.close();
  cleanUps.push(() => test.drop());
  return test.url;
}

const untilReason = (of: Service, reason: RegExp): Promise<unknown> =>
  eventually(`the reason is ${reason}`, () => reason.test(of.bootstrap.state().reason ?? ''));

const untilReady = (of: Service): Promise<unknown> => eventually('it is ready', () => of.bootstrap.state().ready);

const LOCKS = `from pg_locks where locktype = 'advisory' and objid = ${SINGLE_PROCESS_LOCK}
  and database = (select oid from pg_database where datname = current_database())`;

const terminate = (url: string, application: string): Promise<unknown> =>
  execute(
    url,
    `select pg_terminate_backend(pid, 10000) from pg_stat_activity
     where datname = current_database() and application_name = '${application}'`,
  );

describe('the start of the database', () => {
  it('migrates, attaches and is ready', async () => {
    const one = service({ DATABASE_URL: await emptyDatabase() });
    expect(one.bootstrap.state()).toEqual({ ready: false, reason: 'the database is starting' });
    await one.starting;
    expect(one.bootstrap.state()).toEqual({ ready: true, reason: null });
    expect(await one.database.one('test.migrated', sql`select count(*) > 0 as yes from schema_migrations`)).toEqual({
      yes: true,
    });
  });

  it('waits for a server that is down, and says so without its address', async () => {
    const server = await startPostgres();
    cleanUps.push(() => server.stop());
    await server.halt();
    const one = service({ DATABASE_URL: server.url() });
    await untilReason(one, /^the socket of the database server does not exist$/);
    await expect(one.database.query('test.early', sql`select 1`)).rejects.toMatchObject({
      code: 'dependency_unavailable',
    });
    await server.start();
    await one.starting;
    expect(one.bootstrap.state().ready).toBe(true);
  });

  describe('that cannot be used as it is told', () => {
    // Of its own: one that DATABASE_URL names may trust everybody.
    let server: TestPostgres;
    beforeAll(async () => {
      server = await startPostgres();
    });
    afterAll(() => server?.stop());

    it.each([
      ['a wrong password', (url: URL) => (url.password = 'wrong'), 'the database refused the password'],
      ['an unknown database', (url: URL) => (url.pathname = '/nowhere'), 'the database does not exist on its server'],
      [
        'TLS the server does not speak',
        (url: URL) => url.searchParams.set('sslmode', 'require'),
        'the database server does not speak TLS',
      ],
      ['an unknown host', (url: URL) => url.searchParams.set('host', 'nowhere.invalid'), /host name of the database/],
      [
        'a closed port',
        (url: URL) => (url.searchParams.set('host', '127.0.0.1'), (url.port = '1')),
        'the database server refuses connections',
      ],
    ])('names %s and goes on trying', async (_, spoil, reason) => {
      const url = new URL(server.url());
      spoil(url);
      const quit = new AbortController();
      const one = service({ DATABASE_URL: url.href }, quit.signal);
      await untilReason(one, reason instanceof RegExp ? reason : new RegExp(`^${reason}$`));
      expect(one.bootstrap.state().ready).toBe(false);
      quit.abort();
      await expect(one.starting).rejects.toMatchObject({ name: 'AbortError' });
    });
  });

  it('is refused by a database that is newer than the program, until that is mended', async () => {
    const url = await emptyDatabase();
    const first = service({ DATABASE_URL: url });
    await first.starting;
    await first.bootstrap.stop();
    await execute(
      url,
      `insert into schema_migrations (version, name, checksum) select max(version) + 1, '9999_from_tomorrow.sql', '' from schema_migrations`,
    );
    const second = service({ DATABASE_URL: url });
    await untilReason(second, /newer than this program: it has 9999_from_tomorrow\.sql/);
    expect(second.database.attached).toBe(false);
    await execute(url, `delete from schema_migrations where name = '9999_from_tomorrow.sql'`);
    await second.starting;
  });

  (hasPostgres15 ? it : it.skip)('works with PostgreSQL 15', async () => {
    const server = await startPostgres({ major: 15 });
    cleanUps.push(() => server.stop());
    await service({ DATABASE_URL: server.url() }).starting;
  });

  it('ends with the reason of the signal', async () => {
    const quit = new AbortController();
    quit.abort(new Error('enough'));
    await expect(service({ DATABASE_URL: 'postgres://127.0.0.1:1/x' }, quit.signal).starting).rejects.toThrow('enough');
  });
});

describe('a process without Redis', () => {
  it('is the only one of its kind on a database: the second one waits, then says why it ends', async () => {
    const url = await emptyDatabase();
    const first = service({ DATABASE_URL: url });
    await first.starting;
    const second = service({ DATABASE_URL: url }, NEVER, new QuickClock());
    await expect(second.starting).rejects.toThrow(SingleProcessError);
    await expect(second.starting).rejects.toThrow(/Another process without REDIS_URL uses this database/);
    expect(second.database.attached).toBe(false);
    expect(first.bootstrap.state().ready).toBe(true);
  });

  it('takes over from one that ends', async () => {
    const url = await emptyDatabase();
    const first = service({ DATABASE_URL: url });
    await first.starting;
    const second = service({ DATABASE_URL: url });
    await untilGuards(url, 2);
    await first.bootstrap.stop();
    await second.starting;
  });

  it('does not mind processes with Redis, nor they each other', async () => {
    const url = await emptyDatabase();
    const all = [
      service({ DATABASE_URL: url }),
      service({ DATABASE_URL: url, ...REDIS }),
      service({ DATABASE_URL: url, ...REDIS }),
    ];
    await Promise.all(all.map(({ starting }) => starting));
    expect(all.every(({ bootstrap }) => bootstrap.state().ready)).toBe(true);
  });

  it('takes its lock again when the connection that held it is cut', async () => {
    const url = await emptyDatabase();
    const one = service({ DATABASE_URL: url });
    await one.starting;
    const holders = (): Promise<Record<string, unknown>[]> => execute(url, `select pid ${LOCKS} and granted`);
    const [before] = await holders();
    await terminate(url, 'nova guard');
    const after = await eventually('the lock is held again', async () => {
      const found = await holders();
      return found.length > 0 && found;
    });
    expect(after).toHaveLength(1);
    expect(after).not.toEqual([before]);
    await untilReady(one);
  });

  it('has to end when another one took its place meanwhile', async () => {
    const url = await emptyDatabase();
    const one = service({ DATABASE_URL: url }, NEVER, new QuickClock());
    await one.starting;
    const rival = new pg.Client({ connectionString: url });
    await rival.connect();
    cleanUps.push(() => rival.end());
    const taken = rival.query('select pg_advisory_lock($1, $2)', [LOCK_CLASS, SINGLE_PROCESS_LOCK]);
    await eventually(
      'the rival waits',
      async () => (await execute(url, `select 1 ${LOCKS} and not granted`)).length > 0,
    );
    await terminate(url, 'nova guard');
    await taken;
    expect(await one.bootstrap.displaced).toBeInstanceOf(SingleProcessError);
    expect(one.bootstrap.state()).toEqual({ ready: false, reason: expect.stringContaining('Another process') });
  });
});

describe('a server that goes away', () => {
  beforeAll(async () => {
    made = await makeCluster();
  });
  afterAll(() => made?.remove());

  it.each(['fast', 'immediate'] as const)(
    'and comes back (%s restart) is used again without a restart of the service',
    async (mode) => {
      const server = await startPostgres();
      cleanUps.push(() => server.stop());
      const one = service({ DATABASE_URL: server.url() });
      await one.starting;
      await server.halt(mode);
      await untilReason(one, /./);
      await server.start();
      await untilReady(one);
      expect(await one.database.one('test.back', sql`select 1 as one`)).toEqual({ one: 1 });
    },
  );

  it('is told while it is read-only, and used again afterwards', async () => {
    const url = await emptyDatabase();
    const one = service({ DATABASE_URL: url });
    await one.starting;
    const name = new URL(url).pathname.slice(1);
    const admin = process.env.NOVA_TEST_PG_URL ?? '';
    await execute(admin, `alter database ${name} set default_transaction_read_only = on`);
    await terminate(url, 'nova health');
    await untilReason(one, /^the database is read-only$/);
    await execute(admin, `alter database ${name} reset default_transaction_read_only`);
    await terminate(url, 'nova health');
    await untilReady(one);
  });

  it('is started again when it is the embedded one', async () => {
    const dataDir = await dataFolder();
    const one = service({ NOVA_DATA_DIR: dataDir });
    await one.starting;
    const before = await findPostmaster(join(dataDir, 'postgres-16', 'data'));
    if (before === null) throw new Error('no server runs');
    process.kill(before.pid, 'SIGKILL');
    await untilReason(one, /./);
    await untilReady(one);
    expect(await one.database.one('test.back', sql`select 1 as one`)).toEqual({ one: 1 });
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'with its owner (%s) is taken over by the process that waited',
    async (signal) => {
      const dataDir = await dataFolder();
      const owner = startDatabaseProcess({ NOVA_DATA_DIR: dataDir });
      await owner.ready();
      const one = service({ NOVA_DATA_DIR: dataDir });
      const url = await embeddedUrl(dataDir);
      await untilGuards(url, 2);
      await owner.end(signal);
      await one.starting;
      expect(one.bootstrap.state().ready).toBe(true);
    },
  );
});

async function dataFolder(): Promise<string> {
  const folder = temporaryFolder();
  cleanUps.push(() => folder.remove());
  await chmod(folder.path, 0o711);
  const dataDir = join(folder.path, 'nova');
  await made.copyTo(dataDir);
  return dataDir;
}

/** Waits until so many processes are at least about to ask for the lock. */
async function untilGuards(url: string, count: number): Promise<void> {
  const guards = `select 1 from pg_stat_activity where application_name = 'nova guard' and datname = current_database()`;
  await eventually(`${count} guards are connected`, async () => (await execute(url, guards)).length >= count);
}

async function embeddedUrl(dataDir: string): Promise<string> {
  const home = join(dataDir, 'postgres-16');
  const password = await readFile(join(home, 'data', 'nova.password'), 'utf8');
  return `postgresql://nova:${password}@localhost/nova?host=${encodeURIComponent(join(home, 'socket'))}`;
}
