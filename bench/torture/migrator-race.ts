import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Logger } from '@nestjs/common';
import pg from 'pg';
import { startPostgres } from '../../test/support/servers/index.js';

const MIGRATORS = 8;
const DATABASES = 3;

type Migrator = typeof import('../../src/platform/database/migrator.js');

/** Lets eight migrators of a built service loose on an empty database, a few times. @returns what went wrong */
export async function raceMigrators(dist: string): Promise<string[]> {
  Logger.overrideLogger(false);
  const module = pathToFileURL(join(dist, 'platform/database/migrator.js')).href;
  const { migrate } = (await import(module)) as Migrator;
  const postgres = await startPostgres();
  const wrong: string[] = [];
  try {
    for (let index = 0; index < DATABASES; index += 1) {
      const admin = new pg.Client({ connectionString: postgres.url() });
      await admin.connect();
      await admin.query(`create database race_${index}`);
      await admin.end();
      const connection = { connectionString: postgres.url(`race_${index}`) };
      const ends = await Promise.allSettled(Array.from({ length: MIGRATORS }, () => migrate(connection)));
      for (const end of ends) {
        if (end.status === 'rejected') wrong.push(`a migrator of an empty database failed: ${String(end.reason)}`);
      }
      const applied = ends.flatMap((end) => (end.status === 'fulfilled' ? end.value : []));
      if (new Set(applied).size !== applied.length) wrong.push('a migration was applied twice');
    }
    return wrong;
  } finally {
    await postgres.stop();
  }
}
