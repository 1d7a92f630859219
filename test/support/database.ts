import { randomBytes } from 'node:crypto';
import { Logger } from '@nestjs/common';
import { Database, type ConnectionOptions } from '../../src/platform/database/index.js';
import { databaseUrl, execute } from './servers/test-servers.js';

// What a test provokes would fill its report.
Logger.overrideLogger(['error', 'fatal']);

/** A database of one spec file's own. */
export interface TestDatabase {
  /** Connection string, for processes that a test starts. */
  readonly url: string;
  readonly connection: ConnectionOptions;
  /** Attached to it. */
  readonly database: Database;
  /** Closes `database` and drops the database, whoever is still connected. */
  drop(): Promise<void>;
}

export interface TestDatabaseOptions {
  /** Leaves the schema out. */
  empty?: boolean;
  poolSize?: number;
}

/** Clones the migrated database of this test run: `const db = await createTestDatabase()` in `beforeAll`, `drop` in `afterAll`. */
export async function createTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { NOVA_TEST_PG_URL: admin, NOVA_TEST_RUN: run } = process.env;
  if (!admin || !run)
    throw new Error('test/setup/servers.ts did not run: this project of jest.config.mjs lacks globalSetup');
  const name = `${run}_${randomBytes(5).toString('hex')}`;
  await execute(admin, `create database ${name} template ${options.empty ? 'template0' : `${run}_template`}`);
  const url = databaseUrl(admin, name);
  const connection: ConnectionOptions = { connectionString: url, poolSize: options.poolSize ?? 10 };
  const database = new Database();
  database.attach(connection);
  return {
    url,
    connection,
    database,
    drop: async () => {
      await database.close();
      await execute(admin, `drop database if exists ${name} with (force)`);
    },
  };
}
