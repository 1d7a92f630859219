import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from '../../../src/platform/database/index.js';
import { migrate, MigrationError } from '../../../src/platform/database/migrator.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';
import { holdLock } from '../../support/held-lock.js';
import { temporaryFolder, type TemporaryFolder } from '../../support/servers/index.js';

const PROJECT_MIGRATIONS = fileURLToPath(new URL('../../../migrations', import.meta.url));

let db: TestDatabase;
let temporary: TemporaryFolder;
let folder: string;

beforeEach(async () => {
  db = await createTestDatabase({ empty: true });
  temporary = temporaryFolder();
  folder = join(temporary.path, 'migrations');
  mkdirSync(folder);
});

afterEach(async () => {
  temporary.remove();
  await db.drop();
});

const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
const run = (): Promise<string[]> => migrate(db.connection, { folder });
const tables = async (): Promise<string[]> =>
  (
    await db.database.query<{ tablename: string }>(
      'test.tables',
      sql`select tablename::text from pg_tables where schemaname = 'public' and tablename <> 'schema_migrations' order by 1`,
    )
  ).map(({ tablename }) => tablename);

describe('migrations', () => {
  it('are applied in order, each once', async () => {
    write('0001_create_a.sql', 'create table a (id int);');
    write('0002_create_b.sql', 'create table b (id int); insert into a values (1);');
    expect(await run()).toEqual(['0001_create_a.sql', '0002_create_b.sql']);
    expect(await run()).toEqual([]);
    write('0003_create_c.sql', 'create table c (id int)');
    expect(await run()).toEqual(['0003_create_c.sql']);
    expect(await tables()).toEqual(['a', 'b', 'c']);
    expect(await db.database.query('test.a', sql`select id from a`)).toEqual([{ id: 1 }]);
  });

  it('are applied once by eight processes that start together on an empty database', async () => {
    for (let number = 1; number <= 5; number += 1) {
      write(
        `000${number}_create_t${number}.sql`,
        `create table t${number} (id int); insert into t${number} values (1);`,
      );
    }
    const applied = await Promise.all(Array.from({ length: 8 }, run));
    expect(applied.flat()).toHaveLength(5);
    expect(await db.database.one('test.count', sql`select count(*) as rows from t5`)).toEqual({ rows: 1 });
  });

  it('stop at the one that fails, whose part before the fault is undone, and go on once it is mended', async () => {
    write('0001_create_a.sql', 'create table a (id int);');
    write('0002_create_b.sql', 'create table b (id int);\ncreate table c (id nonsense);');
    write('0003_create_d.sql', 'create table d (id int);');
    await expect(run()).rejects.toThrow(/^0002_create_b\.sql failed: type "nonsense" does not exist \(line 2\)$/);
    expect(await tables()).toEqual(['a']);
    write('0002_create_b.sql', 'create table b (id int);');
    expect(await run()).toEqual(['0002_create_b.sql', '0003_create_d.sql']);
  });

  it('leave nothing of a file whose session was killed', async () => {
    write('0001_create_a.sql', 'create table a (id int);');
    write('0002_create_b.sql', 'create table b (id int); select pg_terminate_backend(pg_backend_pid());');
    await expect(run()).rejects.toThrow();
    expect(await tables()).toEqual(['a']);
    write('0002_create_b.sql', 'create table b (id int);');
    expect(await run()).toEqual(['0002_create_b.sql']);
  });

  it('refuse a file that was edited after it had been applied', async () => {
    write('0001_create_a.sql', 'create table a (id int);');
    await run();
    write('0001_create_a.sql', 'create table a (id bigint);');
    await expect(run()).rejects.toThrow(new MigrationError('0001_create_a.sql was changed after it had been applied'));
  });

  it('take a file as the same whatever the line ends of the checkout', async () => {
    write('0001_create_a.sql', 'create table a (\n  id int\n);\n');
    await run();
    write('0001_create_a.sql', 'create table a (\r\n  id int\r\n);\r\n');
    expect(await run()).toEqual([]);
  });

  it('refuse a database that is newer than the program', async () => {
    write('0001_create_a.sql', 'create table a (id int);');
    write('0002_create_b.sql', 'create table b (id int);');
    await run();
    rmSync(join(folder, '0002_create_b.sql'));
    await expect(run()).rejects.toThrow(/newer than this program: it has 0002_create_b\.sql/);
  });

  it('refuse a file in place of the applied one', async () => {
    write('0001_create_a.sql', 'create table a (id int);');
    await run();
    rmSync(join(folder, '0001_create_a.sql'));
    write('0001_create_b.sql', 'create table b (id int);');
    await expect(run()).rejects.toThrow(/0001_create_b\.sql stands where the database has 0001_create_a\.sql/);
  });

  it.each([
    ['a gap', ['0001_create_a.sql', '0003_create_c.sql'], /0003_create_c\.sql is out of order: number 0002 comes next/],
    ['a number twice', ['0001_create_a.sql', '0001_create_b.sql'], /0001_create_b\.sql is out of order/],
    ['a name without a number', ['create_a.sql'], /create_a\.sql is not named like/],
  ])('refuse %s before anything is touched', async (_, names, message) => {
    for (const name of names) write(name, 'select 1;');
    await expect(run()).rejects.toThrow(message);
    expect(
      await db.database.one('test.none', sql`select to_regclass('schema_migrations') is null as untouched`),
    ).toEqual({
      untouched: true,
    });
  });

  it('refuse a file that ends its own transaction', async () => {
    write('0001_create_a.sql', 'create table a (id int);\n  COMMIT;\ncreate table b (id int);');
    await expect(run()).rejects.toThrow(/must leave its transaction/);
    expect(await tables()).toEqual([]);
  });

  it('allow the blocks of functions', async () => {
    write(
      '0001_create_function.sql',
      `create function double(x int) returns int language plpgsql as $$\nbegin\n  return 2 * x;\nend;\n$$;`,
    );
    expect(await run()).toEqual(['0001_create_function.sql']);
  });

  it('let others pass while a table is locked by another session, and try again', async () => {
    write('0001_create_a.sql', 'create table a (id int);');
    await run();
    write('0002_alter_a.sql', 'alter table a add column more int;');
    const release = await holdLock(db.database, 'lock table a in access exclusive mode');
    const waiting = migrate(db.connection, { folder, lockTimeoutMs: 500 });
    const blocked = async (): Promise<boolean> =>
      (await db.database.query('test.blocked', sql`select 1 from pg_locks where not granted`)).length > 0;
    await eventually('it waits for the table', blocked);
    await eventually('it has let go', async () => !(await blocked()));
    await release();
    expect(await waiting).toEqual(['0002_alter_a.sql']);
  });

  it('end with the reason of the signal while another process migrates', async () => {
    write('0001_wait.sql', 'select pg_advisory_lock(77);');
    const holder = await db.database.reserve('test holder');
    await holder.query('select pg_advisory_lock(77)');
    const first = run();
    const blocked = sql`select 1 from pg_locks where not granted and objid = 77`;
    await eventually(
      'the first one is held up',
      async () => (await db.database.query('test.blocked', blocked)).length > 0,
    );
    const quit = new AbortController();
    const second = migrate(db.connection, { folder, signal: quit.signal });
    quit.abort();
    await expect(second).rejects.toMatchObject({ name: 'AbortError' });
    await holder.end();
    expect(await first).toEqual(['0001_wait.sql']);
  });
});

describe("the project's migrations", () => {
  it('start from nothing and have nothing left to do the second time', async () => {
    const applied = await migrate(db.connection);
    expect(applied.length).toBeGreaterThan(0);
    expect(await migrate(db.connection)).toEqual([]);
  });

  it('give the same catalogue one by one, with a process death between any two', async () => {
    const all = await createTestDatabase();
    try {
      cpSync(PROJECT_MIGRATIONS, folder, { recursive: true });
      const names = await migrate(all.connection, { folder }).then(() =>
        all.database.query<{ name: string }>('test.names', sql`select name from schema_migrations order by version`),
      );
      for (const { name } of names) rmSync(join(folder, name));
      for (const { name } of names) {
        cpSync(join(PROJECT_MIGRATIONS, name), join(folder, name));
        expect(await run()).toEqual([name]);
      }
      expect(await catalogue(db)).toEqual(await catalogue(all));
    } finally {
      await all.drop();
    }
  });

  it('make suspects of those only that crashed twice in one stage', async () => {
    const files = readdirSync(PROJECT_MIGRATIONS).sort();
    const upTo = files.findIndex((name) => name.endsWith('_claim_past_crashed_tasks.sql'));
    const copy = (names: string[]): void =>
      names.forEach((name) => cpSync(join(PROJECT_MIGRATIONS, name), join(folder, name)));
    copy(files.slice(0, upTo));
    await run();
    await db.database.query(
      'test.suspects',
      sql`insert into tasks (id, owner, pod_name, status, next_status, ready, suspect, stage_crashes, priority, vstart, max_retries, control)
          select gen_random_uuid(), 'admin', 'p', 'queued', 'task_running', true, true, crashes, 5, crashes, 2, '{}'
          from generate_series(0, 3) as crashes`,
    );
    copy(files.slice(upTo));
    await run();
    expect(
      await db.database.query('test.after', sql`select stage_crashes, suspect from tasks order by stage_crashes`),
    ).toEqual([0, 1, 2, 3].map((crashes) => ({ stage_crashes: crashes, suspect: crashes > 1 })));
  });
});

async function catalogue(of: TestDatabase): Promise<unknown[]> {
  return of.database.query(
    'test.catalogue',
    sql`select 'column' as kind, c.relname || '.' || a.attname as name,
          format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || coalesce(pg_get_expr(d.adbin, d.adrelid), '') as definition
        from pg_attribute a join pg_class c on c.oid = a.attrelid and c.relnamespace = 'public'::regnamespace
          left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        where a.attnum > 0 and not a.attisdropped
        union all
        select 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) from pg_constraint
        where connamespace = 'public'::regnamespace
        union all
        select 'index', indexname, indexdef from pg_indexes where schemaname = 'public'
        union all
        select 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
        union all
        select 'function', proname, pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace and prokind = 'f'
        order by 1, 2, 3`,
  );
}
