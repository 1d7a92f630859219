import { randomBytes } from 'node:crypto';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import pg from 'pg';
import { migrate } from '../../../src/platform/database/migrator.js';
import { makeClusterTemplate, startPostgres } from './postgres.js';
import { hasProgram, needProgram } from './system-program.js';
import { temporaryFolder } from './temporary-folder.js';

export interface TestServers {
  stop(): Promise<void>;
}

const PREFIX = 'nova_test_';
const ABANDONED_MS = 24 * 3_600_000;

/**
 * Starts one PostgreSQL for a whole test run, and makes the migrated database that specs clone and the cluster that the
 * servers which they start are copies of. A PostgreSQL that `DATABASE_URL` names is used instead of the one, in databases of
 * our own, if it lets us create them. Specs start their own Redis, since they empty and kill it. The settings of the
 * surrounding shell reach no spec.
 */
export async function startTestServers(): Promise<TestServers> {
  Logger.overrideLogger(['warn', 'error', 'fatal']);
  const given = process.env.DATABASE_URL;
  delete process.env.DATABASE_URL;
  delete process.env.REDIS_URL;
  // Where one cannot be had, the specs that need it are left out or fail themselves; see test/setup/left-out.mjs.
  if (process.env.CI === 'true' || process.getuid?.() === 0) needProgram('bwrap', 'bubblewrap');
  hasProgram('pgbouncer', 'pgbouncer');
  const run = `${PREFIX}${Date.now().toString(36)}_${randomBytes(3).toString('hex')}`;
  const external = given ? await usable(given, `${run}_template`) : null;
  const clusters = temporaryFolder();
  await chmod(clusters.path, 0o711);
  const template = join(clusters.path, 'pg');
  await makeClusterTemplate(template);
  process.env.NOVA_TEST_CLUSTER = template;
  const own = external === null ? await startPostgres() : null;
  const admin = external ?? own?.url() ?? '';
  if (own !== null) await execute(admin, `create database ${run}_template`);
  await migrate({ connectionString: databaseUrl(admin, `${run}_template`) });
  Object.assign(process.env, { NOVA_TEST_PG_URL: admin, NOVA_TEST_RUN: run });
  return {
    stop: async () => {
      if (external !== null) await dropDatabases(external, (name) => name.startsWith(run));
      await own?.stop();
      clusters.remove();
    },
  };
}

/** The connection string of another database on the same server. */
export function databaseUrl(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}

/** Runs one statement on a connection of its own. */
export async function execute(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 30_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<Record<string, unknown>>(statement)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** `url`, when a database can be created there; interrupted runs that left theirs are cleared away. */
async function usable(url: string, template: string): Promise<string | null> {
  try {
    await execute(url, `create database ${template}`);
    await dropDatabases(url, (name) => {
      const startedAt = Number.parseInt(name.slice(PREFIX.length).split('_')[0] ?? '', 36);
      return startedAt < Date.now() - ABANDONED_MS;
    });
    return url;
  } catch (error) {
    const reason =
      error instanceof pg.DatabaseError ? (error.code ?? '') : ((error as NodeJS.ErrnoException).code ?? '');
    process.stderr.write(`The server of DATABASE_URL is not used for tests (${reason}); they start their own.\n`);
    return null;
  }
}

async function dropDatabases(url: string, which: (name: string) => boolean): Promise<void> {
  const rows = await execute(url, `select datname from pg_database where datname like '${PREFIX}%'`);
  for (const name of rows.map(({ datname }) => String(datname)).filter(which)) {
    await execute(url, `drop database if exists ${name} with (force)`);
  }
}
