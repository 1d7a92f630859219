import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { AppConfig } from '../../../src/config/index.js';
import { Clock } from '../../../src/platform/clock/index.js';
import { Database, DatabaseBootstrap, sql } from '../../../src/platform/database/index.js';
import { eventually } from '../../support/eventually.js';
import { startPostgres, type TestPostgres } from '../../support/servers/index.js';
import { execute } from '../../support/servers/test-servers.js';

let server: TestPostgres;
let made = 0;
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

/** A new database, made `as` this says, with `settings` of its own. */
async function databaseWith(settings: Record<string, string>, as = ''): Promise<string> {
  const name = `odd_${(made += 1)}`;
  await execute(server.url(), `create database ${name} template template0 ${as}`);
  for (const [setting, value] of Object.entries(settings)) {
    await execute(server.url(), `alter database ${name} set ${setting} = ${value}`);
  }
  return server.url(name);
}

function start(
  url: string,
  clock = new Clock(),
): { bootstrap: DatabaseBootstrap; database: Database; up: Promise<void> } {
  const database = new Database();
  const bootstrap = new DatabaseBootstrap(AppConfig.from({ DATABASE_URL: url }), database, clock);
  cleanUps.push(() => bootstrap.stop());
  const up = bootstrap.start(new AbortController().signal);
  up.catch(() => undefined);
  return { bootstrap, database, up };
}

const untilReason = async (url: string, reason: RegExp): Promise<ReturnType<typeof start>> => {
  const started = start(url);
  const { bootstrap } = started;
  await eventually(`the reason is ${reason}`, () => reason.test(bootstrap.state().reason ?? ''));
  return started;
};

describe('a session', () => {
  it('has what the code relies on, whatever the database sets', async () => {
    const url = await databaseWith({
      datestyle: "'SQL, DMY'",
      intervalstyle: "'iso_8601'",
      timezone: "'Asia/Kathmandu'",
      bytea_output: "'escape'",
      standard_conforming_strings: 'off',
      default_transaction_isolation: "'serializable'",
      statement_timeout: "'900ms'",
      lock_timeout: "'1ms'",
      idle_in_transaction_session_timeout: "'50ms'",
      idle_session_timeout: "'300ms'",
      client_encoding: "'LATIN1'",
      extra_float_digits: '-10',
      array_nulls: 'off',
      transform_null_equals: 'on',
      synchronous_commit: 'off',
    });
    const { bootstrap, database, up } = start(url);
    await up;
    const at = new Date('2026-11-30T12:34:56.789Z');
    const look = (): Promise<object> =>
      database.one(
        'test.look',
        sql`select ${at}::timestamptz as at, ${at}::timestamptz::text as text, '🚀'::text as rocket, '\\x00ff'::bytea as bytes,
              1.1::float8 / 3 as third, array[null, 1]::int[] as nulls, null = null as unknown, 'a\b' as slashed,
              current_setting('transaction_isolation') as isolation,
              current_setting('statement_timeout') as statement, current_setting('idle_session_timeout') as idle,
              current_setting('synchronous_commit') as durable`,
      );
    const expected = {
      at,
      text: '2026-11-30 12:34:56.789+00',
      rocket: '🚀',
      bytes: Buffer.from([0, 255]),
      third: 1.1 / 3,
      nulls: [null, 1],
      unknown: null,
      isolation: 'read committed',
      statement: '25s',
      idle: '0',
      durable: 'on',
    };
    expect(await look()).toMatchObject(expected);
    expect(await database.transaction('test.inside', look)).toMatchObject(expected);
    const reserved = await database.reserve('test');
    cleanUps.push(() => reserved.end());
    expect((await reserved.query('show statement_timeout')).rows).toEqual([{ statement_timeout: '25s' }]);
    // Idle for longer than the database allows: the guard's session is still the same.
    const before = bootstrap.state();
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect((await reserved.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    expect(bootstrap.state()).toEqual(before);
  });

  it('has the settings of a URL overruled too', async () => {
    const url = new URL(await databaseWith({}));
    url.searchParams.set('options', '-c timezone=Asia/Kathmandu -c bytea_output=escape');
    const { database, up } = start(url.href);
    await up;
    expect(await database.one('test.zone', sql`select current_setting('timezone') as zone`)).toEqual({ zone: 'UTC' });
  });
});

describe('the schema of the service', () => {
  it('stays the one that its tables are in when another one comes before it in the search path', async () => {
    const url = await databaseWith({});
    const first = start(url);
    await first.up;
    await first.bootstrap.stop();
    await execute(url, 'create schema postgres');
    await execute(url, `alter database ${new URL(url).pathname.slice(1)} set search_path = other, "$user", public`);
    await execute(url, 'create schema other');
    const second = start(url);
    await second.up;
    expect(await second.database.one('test.path', sql`select current_setting('search_path') as path`)).toEqual({
      path: '"public"',
    });
    expect(await execute(url, `select count(*)::int as n from pg_class where relname = 'schema_migrations'`)).toEqual([
      { n: 1 },
    ]);
  });

  it('is the first of the search path in an empty database, whatever its name', async () => {
    const url = await databaseWith({ search_path: `'we "quote"', public` });
    await execute(url, `create schema "we ""quote"""`);
    const { database, up } = start(url);
    await up;
    expect(await database.one('test.schema', sql`select current_schema() as name`)).toEqual({ name: 'we "quote"' });
  });

  it('is asked for where the search path names none that exists', async () => {
    const url = await databaseWith({ search_path: 'nowhere' });
    const { up } = await untilReason(url, /^the search_path of the role names no schema that exists; make the schema/);
    await execute(url, 'create schema nowhere');
    await up;
  });
});

describe('a database that cannot be worked with', () => {
  it.each([
    ['LATIN1', `encoding 'LATIN1' locale 'C'`],
    ['SQL_ASCII', `encoding 'SQL_ASCII' locale 'C'`],
    ['EUC_JP', `encoding 'EUC_JP' locale 'C'`],
  ])('is refused for its encoding %s, with the remedy', async (encoding, as) => {
    const reason = new RegExp(
      `^the database is encoded in ${encoding} and cannot hold every text; make one with .*UTF8`,
    );
    await untilReason(await databaseWith({}, as), reason);
  });

  it('is told where its sessions are read-only, as providers make it when a disk is full', async () => {
    await untilReason(await databaseWith({ default_transaction_read_only: 'on' }), /^the database is read-only$/);
  });

  it('is refused where triggers do not run', async () => {
    await untilReason(
      await databaseWith({ session_replication_role: 'replica' }),
      /^session_replication_role is replica/,
    );
  });
});

it('clocks that are far apart are told while they are', async () => {
  class ShiftedClock extends Clock {
    shiftMs = 0;
    override now(): Date {
      return new Date(Date.now() + this.shiftMs);
    }
  }
  const clock = new ShiftedClock();
  const { bootstrap, up } = start(await databaseWith({}), clock);
  await up;
  expect(bootstrap.clocksApart()).toBeNull();
  for (const [shiftMs, words] of [
    [3_600_000, /3600 s ahead of the database's/],
    [-120_000, /120 s behind the database's/],
  ] as const) {
    clock.shiftMs = shiftMs;
    await eventually('it is told', () => words.test(bootstrap.clocksApart() ?? ''));
    expect(bootstrap.state().ready).toBe(true);
  }
  clock.shiftMs = 0;
  await eventually('it is over', () => bootstrap.clocksApart() === null);
});
