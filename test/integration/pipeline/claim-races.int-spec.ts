import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { claimStatement } from '../../../src/modules/pipeline/store/task-queue.repository.js';
import { sql } from '../../../src/platform/database/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';

/** Each of these is raced for by every connection of two processes. */
const RACES = Number(process.env['NOVA_TEST_CLAIM_RACES'] ?? 10_000);
const LANES = 3;
const ROOT = join(fileURLToPath(import.meta.url), '../../../..');

let db: TestDatabase;
beforeAll(async () => {
  db = await createTestDatabase();
});
beforeEach(async () => {
  await db.database.query('test.clear', sql`truncate tasks cascade`);
});
afterAll(() => db?.drop());

async function queueTasks(count: number): Promise<Set<string>> {
  const rows = await db.database.query<{ id: string }>(
    'test.fill',
    sql`
      insert into tasks (id, owner, pod_name, status, next_status, ready, priority, vstart, max_retries, control, event_seq)
      select gen_random_uuid(), 'o', 'p', 'queued', 'task_running', true, 5, n, 2, '{}', 1 from generate_series(1, ${count}) n
      returning id`,
  );
  return new Set(rows.map(({ id }) => id));
}

/** Two processes at once, each as another worker; resolves with the ids that each of them won. */
async function race(change: (text: string) => string = (text) => text): Promise<string[][]> {
  const claimers = [1, 2].map((worker) => {
    const { text, values } = claimStatement(worker, 1, 150, 'any').toQuery();
    const child = spawn(
      process.execPath,
      ['--import', join(ROOT, 'scripts/typescript.mjs'), join(ROOT, 'test/integration/pipeline/claimer.main.ts')],
      {
        cwd: '/',
        env: {
          PATH: process.env['PATH'],
          CLAIMER: JSON.stringify({ url: db.url, text: change(text), values, lanes: LANES }),
        },
        stdio: ['pipe', 'pipe', 'pipe'],
      },
    );
    let complaint = '';
    child.stderr.on('data', (data: Buffer) => (complaint += data.toString()));
    const lines = createInterface({ input: child.stdout });
    const line = async (): Promise<string> => {
      const [said] = (await Promise.race([once(lines, 'line'), once(lines, 'close')])) as [string?];
      if (said === undefined) throw new Error(`the claimer ended first: ${complaint}`);
      return said;
    };
    return { child, line };
  });
  await Promise.all(claimers.map(({ line }) => line()));
  const results = claimers.map(({ line }) => line());
  for (const { child } of claimers) child.stdin.write('go\n');
  return (await Promise.all(results)).map((said) => JSON.parse(said) as string[]);
}

describe('two processes that claim at once', () => {
  it(`have one winner in each of ${RACES} races`, async () => {
    const ids = await queueTasks(RACES);
    const [first = [], second = []] = await race();
    expect(first.length).toBeGreaterThan(0);
    expect(second.length).toBeGreaterThan(0);
    expect(first.length + second.length).toBe(RACES);
    expect(new Set([...first, ...second])).toEqual(ids);
    const [told] = await db.database.query(
      'test.claims',
      sql`
        select count(*)::int as claims, count(distinct task_id)::int as tasks,
          (select count(*)::int from tasks where status = 'task_running' and epoch = 1 and attempt = 1) as claimed
        from task_events where type = 'task.claimed'`,
    );
    expect(told).toEqual({ claims: RACES, tasks: RACES, claimed: RACES });
  });

  it('would both win without the row lock', async () => {
    const ids = await queueTasks(500);
    const wins = (
      await race((text) => {
        const unlocked = text
          .replace('for update skip locked', '')
          // Else the schema refuses the second win, since a task that runs knows no next status.
          .replace('next_status = null', 'next_status = t.next_status');
        expect(unlocked).not.toMatch(/for update|next_status = null/);
        return unlocked;
      })
    ).flat();
    expect(new Set(wins)).toEqual(ids);
    expect(wins.length).toBeGreaterThan(500);
  });
});
