import { createHash } from 'node:crypto';
import { access, readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Logger } from '@nestjs/common';
import pg from 'pg';
import { LOCK_CLASS, MIGRATION_LOCK } from './advisory-locks.js';
import { connectClient, type SessionOptions } from './connection.js';

/** One file of the migrations folder. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly text: string;
  readonly checksum: string;
}

/** The schema cannot be brought up to date. The message is a sentence that names the file and what is wrong with it. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

export interface MigrateOptions {
  signal?: AbortSignal;
  /** Where the files are; the project's `migrations` when absent. */
  folder?: string;
  /** Longest wait for a locked table before the queue behind it is let through and the file is tried again. */
  lockTimeoutMs?: number;
}

interface LedgerRow {
  readonly version: number;
  readonly name: string;
  readonly checksum: string;
}

const FILE_NAME = /^(\d{4})_[a-z0-9]+(?:_[a-z0-9]+)*\.sql$/;
/** A file must not end the transaction it runs in: its ledger row belongs to it. */
const ENDS_TRANSACTION = /^\s*(?:begin|start\s+transaction|commit|rollback)(?:\s+(?:work|transaction))?\s*;/im;

const LOCK_POLL_MS = 100;
const LOCK_TIMEOUT_MS = 5_000;
const LOCK_ATTEMPTS = 12;

const logger = new Logger('Migrator');

/**
 * Brings the schema up to the newest file and returns the names of the files it applied. Each file is one transaction with its row in
 * `schema_migrations`, so that the schema is always exactly at one file, whenever the process dies. Processes that
 * migrate the same database wait for each other; a table that is locked for longer is tried again.
 * @throws MigrationError when a file fails, or when the files and the ledger contradict each other: an applied file was
 * edited or is missing, or the database is newer than this program. Errors of the connection pass through.
 */
export async function migrate(connection: SessionOptions, options: MigrateOptions = {}): Promise<string[]> {
  const migrations = await readMigrations(options.folder ?? (await migrationsFolder()));
  const client = await connectClient({
    ...connection,
    application_name: 'nova migrator',
    statement_timeout: 0,
    query_timeout: 0,
    lock_timeout: options.lockTimeoutMs ?? LOCK_TIMEOUT_MS,
  });
  try {
    await lock(client, options.signal);
    return await applyPending(client, migrations, options.signal);
  } finally {
    // The end of the session is the end of the lock.
    await client.end().catch(() => undefined);
  }
}

/** Reads and checks the files. @throws MigrationError for a name, number or content that the rules forbid. */
async function readMigrations(folder: string): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  return Promise.all(
    names.map(async (name, index) => {
      const version = Number(FILE_NAME.exec(name)?.[1] ?? Number.NaN);
      if (Number.isNaN(version)) throw new MigrationError(`${name} is not named like 0001_create_things.sql`);
      if (version !== index + 1) {
        throw new MigrationError(`${name} is out of order: number ${String(index + 1).padStart(4, '0')} comes next`);
      }
      const text = (await readFile(join(folder, name), 'utf8')).replaceAll('\r\n', '\n');
      if (ENDS_TRANSACTION.test(text)) throw new MigrationError(`${name} must leave its transaction to the migrator`);
      return { version, name, text, checksum: createHash('sha256').update(text).digest('hex') };
    }),
  );
}

/** The project's `migrations`, seen from the sources and from the build alike. */
async function migrationsFolder(): Promise<string> {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const found = await access(join(folder, 'package.json')).then(
      () => true,
      () => false,
    );
    if (found) return join(folder, 'migrations');
    const parent = dirname(folder);
    if (parent === folder) throw new MigrationError('the migrations folder is missing');
    folder = parent;
  }
}

/**
 * Takes the migration lock, before anything is created: `create table if not exists` is no protection against a race. It
 * asks again and again instead of waiting in the server, because a session that waits holds a snapshot, and `create
 * index concurrently` of another migrator would wait for that in turn.
 */
async function lock(client: pg.Client, signal?: AbortSignal): Promise<void> {
  for (let waited = false; ; waited = true) {
    const { rows } = await client.query<{ locked: boolean }>('select pg_try_advisory_lock($1, $2) as locked', [
      LOCK_CLASS,
      MIGRATION_LOCK,
    ]);
    if (rows[0]?.locked === true) return;
    if (!waited) logger.log('Another process migrates this database; waiting for it.');
    await delay(LOCK_POLL_MS, undefined, { signal });
  }
}

async function applyPending(
  client: pg.Client,
  migrations: readonly Migration[],
  signal?: AbortSignal,
): Promise<string[]> {
  await client.query(`create table if not exists schema_migrations (
    version integer primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default clock_timestamp()
  )`);
  const { rows } = await client.query<LedgerRow>(
    'select version, name, checksum from schema_migrations order by version',
  );
  verifyLedger(rows, migrations);
  const applied: string[] = [];
  for (const migration of migrations.slice(rows.length)) {
    signal?.throwIfAborted();
    await apply(client, migration, signal);
    logger.log(`Applied ${migration.name}.`);
    applied.push(migration.name);
  }
  return applied;
}

/** The ledger must be the beginning of the list of files, unchanged. */
function verifyLedger(ledger: readonly LedgerRow[], migrations: readonly Migration[]): void {
  ledger.forEach((row, index) => {
    if (row.version !== index + 1) {
      throw new MigrationError(`the ledger of migrations has a gap before ${row.name}`);
    }
    const migration = migrations[index];
    if (migration === undefined) {
      throw new MigrationError(`the database is newer than this program: it has ${row.name}, which is unknown here`);
    }
    if (migration.checksum !== row.checksum) {
      throw new MigrationError(
        migration.name === row.name
          ? `${migration.name} was changed after it had been applied`
          : `${migration.name} stands where the database has ${row.name}`,
      );
    }
  });
}

async function apply(client: pg.Client, migration: Migration, signal?: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query('begin');
      await client.query(migration.text);
      await client.query('insert into schema_migrations (version, name, checksum) values ($1, $2, $3)', [
        migration.version,
        migration.name,
        migration.checksum,
      ]);
      await client.query('commit');
      return;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      await client.query('rollback');
      if (error.code === '55P03' && attempt < LOCK_ATTEMPTS) {
        logger.warn(`${migration.name} waits for a locked table.`);
        await delay(100 * attempt, undefined, { signal });
        continue;
      }
      throw new MigrationError(`${migration.name} failed: ${error.message}${place(error, migration.text)}`, {
        cause: error,
      });
    }
  }
}

/** The line of a statement that failed, where PostgreSQL tells a position. */
function place(error: pg.DatabaseError, text: string): string {
  const position = Number(error.position);
  return Number.isInteger(position) ? ` (line ${text.slice(0, position - 1).split('\n').length})` : '';
}
