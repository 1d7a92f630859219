import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sql } from '../../../src/platform/database/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.drop());

describe('values', () => {
  it('arrive', async () => {
    expect(
      await db.database.one('t', sql`select 1::bigint as a, 1.5::numeric as b, array[1,2]::bigint[] as c`),
    ).toEqual({ a: 1, b: 1.5, c: [1, 2] });
  });
});
