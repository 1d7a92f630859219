import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import pg from 'pg';
import {
  Database,
  joinSql,
  json,
  KeyedTransactions,
  preparedSql,
  shareOfKey,
  sql,
  violates,
  type Sql,
} from '../../../src/platform/database/index.js';
import { logContext, withLogContext } from '../../../src/platform/logging/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';
import { execute } from '../../support/servers/test-servers.js';
import { startPostgres } from '../../support/servers/index.js';

let test: TestDatabase;
let db: Database;

beforeAll(async () => {
  test = await createTestDatabase({ empty: true, poolSize: 4 });
  db = test.database;
  await db.query(
    'test.create',
    sql`create table things (id int constraint things_pkey primary key, value int not null default 0)`,
  );
});
beforeEach(async () => {
  await db.query('test.empty', sql`truncate things`);
});
afterAll(() => test.drop());

const insert = (id: number): Sql => sql`insert into things (id) values (${id})`;
const ids = async (): Promise<number[]> =>
  (await db.query<{ id: number }>('test.ids', sql`select id from things order by id`)).map(({ id }) => id);
/** Ends sessions of this database from outside of it, as an administrator or a restart would. */
const terminate = (where: string): Promise<unknown> =>
  execute(
    process.env.NOVA_TEST_PG_URL ?? '',
    `select pg_terminate_backend(pid, 10000) from pg_stat_activity
     where datname = '${new URL(test.url).pathname.slice(1)}' and ${where}`,
  );

describe('statements', () => {
  it('send every value as a parameter and splice fragments', async () => {
    const filters = [sql`id > ${1}`, sql`value = ${7}`];
    await db.query('test.fill', sql`insert into things select g, ${7} from generate_series(${1}::int, ${3}::int) g`);
    const query = sql`select id from things where ${joinSql(filters, ' and ')} order by id limit ${5}`;
    expect(query.toQuery().values).toEqual([1, 7, 5]);
    expect(await db.query('test.filtered', query)).toEqual([{ id: 2 }, { id: 3 }]);
    const hostile = `'); drop table things; --`;
    expect(await db.one('test.hostile', sql`select ${hostile}::text as text`)).toEqual({ text: hostile });
  });

  it('are planned once for each connection where they are prepared', async () => {
    const double = (value: number) => preparedSql`select ${value}::int * 2 as double`;
    await db.transaction('test.prepared', async () => {
      for (const value of [1, 2, 3]) {
        expect(await db.query('test.double', double(value))).toEqual([{ double: value * 2 }]);
      }
      const { name } = double(0).toQuery();
      const [kept] = await db.query(
        'test.kept',
        sql`select generic_plans + custom_plans as runs from pg_prepared_statements where name = ${name}`,
      );
      expect(kept).toEqual({ runs: 3 });
    });
  });

  it('return numbers for bigint and numeric, dates for timestamptz, values for jsonb', async () => {
    const row = await db.one(
      'test.values',
      sql`select count(*) as big, 1.25::numeric as cost, array[1, null, 2]::bigint[] as bigs, array[]::bigint[] as none,
        '2026-01-02T03:04:05.678Z'::timestamptz as at, ${json([{ a: 1 }])}::jsonb as list, ${json(null)}::jsonb as nothing
        from things`,
    );
    expect(row).toEqual({
      big: 0,
      cost: 1.25,
      bigs: [1, null, 2],
      none: [],
      at: new Date('2026-01-02T03:04:05.678Z'),
      list: [{ a: 1 }],
      nothing: null,
    });
  });

  it('fail rather than lose digits of a bigint', async () => {
    await expect(db.query('test.big', sql`select 9007199254740993::bigint as big`)).rejects.toThrow(RangeError);
    expect(await db.one('test.after', sql`select 1 as one`)).toEqual({ one: 1 });
  });

  it('tell which constraint they violate, and keep their connection', async () => {
    const small = new Database();
    small.attach({ ...test.connection, poolSize: 1 });
    const pid = async (): Promise<unknown> => small.one('test.pid', sql`select pg_backend_pid() as pid`);
    const before = await pid();
    await small.query('test.insert', insert(1));
    const failure = await small.query('test.insert', insert(1)).catch((error: unknown) => error);
    expect(violates(failure, 'things_pkey')).toBe(true);
    expect(violates(failure, 'another')).toBe(false);
    expect(await pid()).toEqual(before);
    await small.close();
  });
});

describe('a transaction', () => {
  it('commits what it did, together with what nested transactions did', async () => {
    const value = await db.transaction('test.outer', async () => {
      await db.query('test.insert', insert(1));
      await db.transaction('test.inner', async () => db.query('test.insert', insert(2)));
      return 'value';
    });
    expect(value).toBe('value');
    expect(await ids()).toEqual([1, 2]);
  });

  it('undoes everything when its work rejects, also what a nested one had finished', async () => {
    const failure = new Error('no');
    const outer = db.transaction('test.outer', async () => {
      await db.transaction('test.inner', async () => db.query('test.insert', insert(1)));
      throw failure;
    });
    await expect(outer).rejects.toBe(failure);
    expect(await ids()).toEqual([]);
  });

  it('is joined by statements that run beside each other', async () => {
    await db.transaction('test.parallel', async () => {
      await Promise.all([1, 2, 3].map((id) => db.query('test.insert', insert(id))));
    });
    expect(await ids()).toEqual([1, 2, 3]);
  });

  it('is not joined by statements of others', async () => {
    await db.transaction('test.open', async () => {
      await db.query('test.insert', insert(1));
      const seen = await execute(test.url, 'select count(*)::int as rows from things');
      expect(seen).toEqual([{ rows: 0 }]);
    });
  });

  it('throws for a statement or a nested transaction that comes after its end', async () => {
    let goOn = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let late: Promise<unknown>[] = [];
    await db.transaction('test.ended', async () => {
      late = [
        gate.then(() => db.query('test.late', insert(1))),
        gate.then(() => db.transaction('test.nested', async () => db.query('test.late', insert(2)))),
      ];
      late.forEach((promise) => void promise.catch(() => undefined));
    });
    goOn();
    await expect(late[0]).rejects.toThrow('test.late: the transaction this statement belongs to has ended');
    await expect(late[1]).rejects.toThrow('test.nested: the transaction this statement belongs to has ended');
    expect(await ids()).toEqual([]);
  });

  it('rejects when a failed statement was swallowed, since PostgreSQL commits nothing then', async () => {
    const swallowed = db.transaction('test.swallowed', async () => {
      await db.query('test.insert', insert(1));
      await db.query('test.insert', insert(1)).catch(() => undefined);
    });
    await expect(swallowed).rejects.toThrow('test.swallowed: a statement failed, so nothing was committed');
    expect(await ids()).toEqual([]);
  });

  it('is tried again after a deadlock', async () => {
    await db.query('test.fill', sql`insert into things (id) values (1), (2)`);
    let arrived = 0;
    let both = (): void => undefined;
    const meeting = new Promise<void>((resolve) => {
      both = resolve;
    });
    let attempts = 0;
    const crossing = (first: number, second: number): Promise<void> =>
      db.transaction('test.crossing', async () => {
        attempts += 1;
        await db.query('test.lock', sql`update things set value = value + 1 where id = ${first}`);
        arrived += 1;
        if (arrived === 2) both();
        await meeting;
        await db.query('test.lock', sql`update things set value = value + 1 where id = ${second}`);
      });
    await Promise.all([crossing(1, 2), crossing(2, 1)]);
    expect(attempts).toBeGreaterThan(2);
    expect(await db.query('test.values', sql`select value from things order by id`)).toEqual([
      { value: 2 },
      { value: 2 },
    ]);
  });

  it('gives up after three serialization faults with an answer that invites to come back', async () => {
    let attempts = 0;
    const hopeless = db.transaction('test.hopeless', async () => {
      attempts += 1;
      await db.query('test.raise', sql`do $$ begin raise exception using errcode = '40001'; end $$`);
    });
    await expect(hopeless).rejects.toMatchObject({ code: 'dependency_unavailable' });
    expect(attempts).toBe(3);
  });
});

describe('transactions of a key', () => {
  const share = async (key: string): Promise<boolean> =>
    (await db.one<{ share: boolean }>('test.share', sql`select ${shareOfKey(key)} as share`)).share;

  /** Work that begins, and ends when it is told to. */
  const held = () => {
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    let enter = (): void => undefined;
    const entered = new Promise<void>((resolve) => (enter = resolve));
    return { entered, release, wait: () => (enter(), released) };
  };

  it('run one after the other in whichever processes, and leave others their connections', async () => {
    const processes = [new KeyedTransactions(db), new KeyedTransactions(db)];
    const hold = held();
    const counted = async (): Promise<number> => {
      const { length } = await ids();
      await db.query('test.insert', insert(length));
      return length;
    };
    const first = processes[0]?.run('test.first', 'one', () => hold.wait().then(counted));
    await hold.entered;
    const rest = Array.from({ length: 20 }, (_, n) => processes[n % 2]?.run('test.rest', 'one', counted));
    expect([await share('one'), await share('other')]).toEqual([false, true]);
    expect(await processes[1]?.run('test.other', 'other', async () => 'done')).toBe('done');
    hold.release();
    const seen = await Promise.all([first, ...rest]);
    expect(seen.sort((a = 0, b = 0) => a - b)).toEqual([...Array(21).keys()]);
    expect(await share('one')).toBe(true);
  });

  it('wait for what shares the key, and share it with themselves', async () => {
    const hold = held();
    const log: string[] = [];
    const sharing = db.transaction('test.sharing', async () => {
      expect(await share('one')).toBe(true);
      await hold.wait();
      log.push('shared');
    });
    await hold.entered;
    const turn = new KeyedTransactions(db).run('test.turn', 'one', async () => {
      log.push('turn');
      return share('one');
    });
    const waiting = sql`select pid from pg_locks where locktype = 'advisory' and not granted
                          and database = (select oid from pg_database where datname = current_database())`;
    await eventually('the turn waits', async () => (await db.query('test.waiting', waiting)).length > 0);
    hold.release();
    await sharing;
    expect(await turn).toBe(true);
    expect(log).toEqual(['shared', 'turn']);
  });
});

describe('a lost connection', () => {
  it('does not end the process when it was idle, and the next statement gets another', async () => {
    await Promise.all([1, 2, 3].map((id) => db.query('test.insert', insert(id))));
    await terminate(`state = 'idle'`);
    expect(await retried(ids)).toEqual([1, 2, 3]);
  });

  it('is not told as part of the work that once opened it', async () => {
    const said: unknown[] = [];
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation((message: unknown) => {
      said.push({ message, context: logContext() });
    });
    const own = new Database();
    own.attach({ ...test.connection, application_name: 'nova idle' });
    await withLogContext({ task_id: 'task-1' }, () => own.query('test.open', sql`select 1`));
    await terminate(`application_name = 'nova idle'`);
    await eventually('the loss is told', () => said.length > 0);
    expect(said).toEqual([{ message: expect.stringContaining('idle connection'), context: {} }]);
    warn.mockRestore();
    await own.close();
  });

  it('fails the statement that runs on it, once, as unavailable', async () => {
    const sleeping = db.query('test.sleep', sql`select pg_sleep(60)`);
    const failing = expect(sleeping).rejects.toMatchObject({ code: 'dependency_unavailable', retryAfterSeconds: 2 });
    await untilActive('pg_sleep');
    await terminate(`state = 'active'`);
    await failing;
    expect(await retried(ids)).toEqual([]);
  });

  it('undoes the transaction that holds it between two statements', async () => {
    const cut = db.transaction('test.cut', async () => {
      await db.query('test.insert', insert(1));
      await terminate(`state = 'idle in transaction'`);
      await db.query('test.insert', insert(2));
    });
    await expect(cut).rejects.toMatchObject({ code: 'dependency_unavailable' });
    expect(await retried(ids)).toEqual([]);
  });

  it('is told once to the owner of a reserved one, and not when the owner ends it', async () => {
    let losses = 0;
    let tell = (): void => undefined;
    const lost = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const kept = await db.reserve('test kept', () => (losses += 100));
    await kept.end();
    await db.reserve('test lost', () => {
      losses += 1;
      tell();
    });
    await terminate(`application_name = 'nova test lost'`);
    await lost;
    expect(losses).toBe(1);
  });
});

describe('health', () => {
  it('is asked on a connection of its own, also while the pool is exhausted', async () => {
    const small = new Database();
    expect(await small.ping()).toBe('no database is attached');
    small.attach({ ...test.connection, poolSize: 1 });
    const held = small.transaction('test.held', async () => small.query('test.sleep', sql`select pg_sleep(60)`));
    const ended = expect(held).rejects.toMatchObject({ code: 'dependency_unavailable' });
    expect(await small.ping()).toBeNull();
    await untilActive('pg_sleep');
    await terminate(`state = 'active'`);
    await ended;
    await small.close();
  });

  it('recovers by itself when its connection was lost, and names an outage', async () => {
    const server = await startPostgres();
    const own = new Database();
    own.attach({ connectionString: server.url() });
    expect(await own.ping()).toBeNull();
    await server.halt('immediate');
    expect(await own.ping()).toMatch(/^the (database server|socket of the database server)/);
    await expect(own.query('test.down', sql`select 1`)).rejects.toMatchObject({ code: 'dependency_unavailable' });
    await server.start();
    expect(await own.ping()).toBeNull();
    expect(await own.one('test.up', sql`select 1 as one`)).toEqual({ one: 1 });
    await execute(server.url(), `alter system set default_transaction_read_only = on`);
    await execute(server.url(), `select pg_reload_conf()`);
    await server.halt();
    await server.start();
    expect(await own.ping()).toBe('the database is read-only');
    await own.close();
    await server.stop();
  });

  it('answers in bounded time when the server does not', async () => {
    const server = await startPostgres();
    const own = new Database();
    own.attach({ connectionString: server.url() });
    server.pause();
    expect(await own.ping()).toBe('the database server does not answer in time');
    server.resume();
    await own.close();
    await server.stop();
  });
});

async function untilActive(text: string): Promise<void> {
  const statement = `select 1 from pg_stat_activity where state = 'active' and query like '%${text}%' and pid <> pg_backend_pid()`;
  await eventually(`${text} runs`, async () => (await execute(test.url, statement)).length > 0);
}

/** Statements may meet further connections that died; each meeting removes one from the pool. */
async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof pg.DatabaseError || (error as { code?: string }).code !== 'dependency_unavailable')
        throw error;
    }
  }
}
