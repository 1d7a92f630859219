import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { generateRows, ROWS_FILE } from '../../../scripts/generate-rows.js';
import { sql } from '../../../src/platform/database/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';

let db: TestDatabase;
afterEach(() => db.drop());

describe('the row types', () => {
  it('are those of the migrated database', async () => {
    db = await createTestDatabase();
    // `npm run generate:rows` brings the file up to date.
    expect(await readFile(ROWS_FILE, 'utf8')).toBe(await generateRows(db.url));
  });

  it('follow the columns: nulls, arrays, listed values and declared jsonb', async () => {
    db = await createTestDatabase({ empty: true });
    await db.database.query(
      'test.create',
      sql`create table batch_entries (
        id uuid primary key,
        total bigint not null,
        at timestamptz,
        labels text[] not null,
        state text not null constraint state_is_known check (state in ('on', 'it''s off')),
        size int constraint size_is_small check (size < 10),
        free jsonb not null,
        typed jsonb
      )`,
    );
    await db.database.query(
      'test.comment',
      sql`comment on column batch_entries.typed is 'What it holds. @type Record<string, number>'`,
    );
    expect(await generateRows(db.url)).toContain(
      [
        '/** A row of `batch_entries`. */',
        'export interface BatchEntryRow {',
        '  id: string;',
        '  total: number;',
        '  at: Date | null;',
        '  labels: string[];',
        `  state: 'on' | "it's off";`,
        '  size: number | null;',
        '  free: unknown;',
        '  typed: Record<string, number> | null;',
        '}',
      ].join('\n'),
    );
  });

  it('are refused for a column type nobody decided about', async () => {
    db = await createTestDatabase({ empty: true });
    await db.database.query('test.create', sql`create table odd (span interval)`);
    await expect(generateRows(db.url)).rejects.toThrow('odd.span: no type is decided for interval');
  });
});
