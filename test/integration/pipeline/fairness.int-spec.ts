import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { sql } from '../../../src/platform/database/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { queueOn } from './queue-setup.js';

let db: TestDatabase;
let setup: ReturnType<typeof queueOn>;

const clear = async (): Promise<void> => {
  await db.database.query('test.clear', sql`truncate tasks cascade`);
};
beforeAll(async () => {
  db = await createTestDatabase();
  setup = queueOn(db.database);
});
beforeEach(clear);
afterAll(() => db?.drop());

/** Claims everything one by one and tells whose turn it was. */
async function drain(): Promise<(string | undefined)[]> {
  const rows = await db.database.query<{ id: string; owner: string }>('test.owners', sql`select id, owner from tasks`);
  const owners = new Map(rows.map(({ id, owner }) => [id, owner]));
  const order: (string | undefined)[] = [];
  for (;;) {
    const [task] = await setup.queue.claim(1, 1, 150, 'any');
    if (task === undefined) return order;
    order.push(owners.get(task.id));
  }
}

describe('the order of claims', () => {
  it.each(['before anything ran', 'while the first ones run'])(
    'lets one task of another caller wait for at most one of two hundred, %s',
    async (when) => {
      for (let n = 0; n < 200; n += 1) await setup.submit('many');
      if (when !== 'before anything ran') await setup.queue.claim(1, 37, 150, 'any');
      await setup.submit('one');
      expect((await drain()).indexOf('one')).toBeLessThanOrEqual(1);
    },
  );

  it('would make it wait for all of them by the time of submission alone', async () => {
    for (let n = 0; n < 200; n += 1) await setup.submit('many');
    const one = await setup.submit('one');
    const rows = await db.database.query<{ id: string }>(
      'test.byTime',
      sql`select id from tasks order by queued_at, id`,
    );
    expect(rows.findIndex(({ id }) => id === one)).toBe(200);
  });

  it('takes a higher priority first, whoever has waited', async () => {
    for (let n = 0; n < 20; n += 1) await setup.submit('a', 5);
    await setup.submit('b', 9);
    await setup.submit('b', 0);
    const order = await drain();
    expect(order[0]).toBe('b');
    expect(order.at(-1)).toBe('b');
  });

  it('lets a caller who had nothing queued wait for one task of each other caller at most', async () => {
    const step = fc.oneof(
      fc.record({ submit: fc.constantFrom('a', 'b', 'c', 'd'), times: fc.integer({ min: 1, max: 6 }) }),
      fc.record({ claim: fc.integer({ min: 1, max: 8 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        await clear();
        for (const action of steps) {
          if ('claim' in action) await setup.queue.claim(1, action.claim, 150, 'any');
          else for (let n = 0; n < action.times; n += 1) await setup.submit(action.submit);
        }
        await setup.submit('newcomer');
        const before = await drain();
        before.splice(before.indexOf('newcomer'));
        expect(before).toEqual([...new Set(before)]);
      }),
      { numRuns: 25 },
    );
  });
});
