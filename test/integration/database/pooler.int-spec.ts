import { spawnSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { AppConfig } from '../../../src/config/index.js';
import { Clock } from '../../../src/platform/clock/index.js';
import {
  Database,
  DatabaseBootstrap,
  preparedSql,
  SingleProcessError,
  sql,
} from '../../../src/platform/database/index.js';
import { eventually } from '../../support/eventually.js';
import { QuickClock } from '../../support/quick-clock.js';
import { startPgBouncer, startPostgres, type TestPgBouncer, type TestPostgres } from '../../support/servers/index.js';

// Installed by the set-up of the run where that is possible; test/setup/left-out.mjs says what would bring it.
const behindPooler = spawnSync('pgbouncer', ['--version']).status === 0 ? describe : describe.skip;

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

let cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  const pending = cleanUps.reverse();
  cleanUps = [];
  for (const cleanUp of pending) await cleanUp();
});

async function pooler(
  mode: 'session' | 'transaction' | 'statement',
  settings: Record<string, string> = {},
): Promise<TestPgBouncer> {
  const started = await startPgBouncer(server, { mode, settings });
  cleanUps.push(() => started.stop());
  return started;
}

interface Started {
  bootstrap: DatabaseBootstrap;
  database: Database;
  starting: Promise<void>;
}

function start(url: string, clock = new Clock()): Started {
  const database = new Database();
  const bootstrap = new DatabaseBootstrap(AppConfig.from({ DATABASE_URL: url }), database, clock);
  cleanUps.push(() => bootstrap.stop());
  const starting = bootstrap.start(new AbortController().signal);
  starting.catch(() => undefined);
  return { bootstrap, database, starting };
}

const reasonOf = async ({ bootstrap }: Started, reason: RegExp): Promise<void> => {
  await eventually(`the reason is ${reason}`, () => reason.test(bootstrap.state().reason ?? ''));
  expect(bootstrap.state().ready).toBe(false);
};

const NO_SESSIONS = /pooler in transaction or statement mode .* in session mode$/;

behindPooler('behind PgBouncer in session mode, with its defaults', () => {
  it('the service works: prepared statements, transactions, its own settings', async () => {
    const { database, starting } = start((await pooler('session')).url());
    await starting;
    await Promise.all(
      Array.from({ length: 40 }, async (_, value) => {
        expect(await database.query('test.double', preparedSql`select ${value}::int * 2 as double`)).toEqual([
          { double: value * 2 },
        ]);
      }),
    );
    const settings = await database.one(
      'test.settings',
      sql`select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock,
            current_setting('idle_in_transaction_session_timeout') as idle`,
    );
    expect(settings).toEqual({ statement: '25s', lock: '10s', idle: '30s' });
  });

  it('only one process without Redis may use a database, and its successor may when it has ended', async () => {
    const { url } = await pooler('session');
    const first = start(url());
    await first.starting;
    await expect(start(url(), new QuickClock()).starting).rejects.toThrow(SingleProcessError);
    await first.bootstrap.stop();
    await start(url()).starting;
  });
});

behindPooler('what keeps no session', () => {
  it.each(['transaction', 'statement'] as const)(
    'is refused at the start in %s mode, with the remedy',
    async (mode) => {
      const refused = start((await pooler(mode)).url());
      await reasonOf(refused, NO_SESSIONS);
      expect(refused.database.attached).toBe(false);
    },
  );

  const others: Record<string, string>[] = [
    { server_round_robin: '1' },
    { default_pool_size: '2' },
    { min_pool_size: '10', server_round_robin: '1' },
  ];
  it.each(others)('is refused with %j too', async (settings) => {
    await reasonOf(start((await pooler('transaction', settings)).url()), NO_SESSIONS);
  });

  it('is refused where sessions are handed on with the locks of the client before', async () => {
    const { url } = await pooler('session', { server_reset_query: '', server_lifetime: '3600' });
    await reasonOf(start(url()), /hands sessions on with the locks and settings .* server_reset_query to DISCARD ALL/);
  });

  it('is refused when it turns up later, and nothing is written through it', async () => {
    const folder = await pooler('session');
    const one = start(folder.url());
    await one.starting;
    // What a pooler in transaction mode does under load: another server process answers the guard.
    const guard = (one.bootstrap as unknown as { guard: { pid: number } }).guard;
    Object.assign(guard, { pid: -1 });
    await eventually('it was noticed', () => !one.bootstrap.state().ready);
    await eventually('it works again', () => one.bootstrap.state().ready);
  });
});

behindPooler('the log-in', () => {
  it('names a setting that the pooler refuses at the log-in', async () => {
    const { url } = await pooler('session');
    await reasonOf(
      start(`${url()}?lock_timeout=1000`),
      /refuses the setting lock_timeout; take it out of DATABASE_URL/,
    );
  });

  it('a pooler without room is named as what it is', async () => {
    const { url } = await pooler('session', { default_pool_size: '1', query_wait_timeout: '1' });
    await reasonOf(start(url()), /the connection pooler has no free connection|does not answer in time/);
  });
});
