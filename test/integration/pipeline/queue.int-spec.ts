import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { sql } from '../../../src/platform/database/index.js';
import { transitionsStatement } from '../../../src/modules/pipeline/store/transitions.repository.js';
import { claimStatement } from '../../../src/modules/pipeline/store/task-queue.repository.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { LEGAL_TRANSITIONS } from '../../support/legal-transitions.js';
import { progress, queueOn } from './queue-setup.js';

let db: TestDatabase;
let setup: ReturnType<typeof queueOn>;

beforeAll(async () => {
  db = await createTestDatabase();
  setup = queueOn(db.database);
});
beforeEach(async () => {
  await db.database.query('test.clear', sql`truncate tasks cascade`);
});
afterAll(() => db.drop());

const row = (id: string) =>
  db.database.one<Record<string, unknown>>('test.task', sql`select * from tasks where id = ${id}`);

describe('claiming', () => {
  it('gives each due task once, in order of priority and virtual start', async () => {
    const low = await setup.submit('a', 1);
    const high = await setup.submit('a', 9);
    const claimed = await setup.queue.claim(1, 5, 150, 'any');
    expect(claimed.map(({ id }) => id)).toEqual(expect.arrayContaining([high, low]));
    expect(await setup.queue.claim(2, 5, 150, 'any')).toEqual([]);
    expect(await row(high)).toMatchObject({ status: 'task_running', lease_owner: 1, epoch: 1, attempt: 1 });
  });

  it('does not let one caller’s many starve another’s one', async () => {
    for (let n = 0; n < 50; n += 1) await setup.submit('many');
    await setup.queue.claim(1, 10, 150, 'any');
    const one = await setup.submit('one');
    const next = await setup.queue.claim(1, 2, 150, 'any');
    expect(next.map(({ id }) => id)).toContain(one);
  });

  it('has one winner for each task when many claim at once', async () => {
    const ids = new Set<string>();
    for (let n = 0; n < 200; n += 1) ids.add(await setup.submit());
    const claims = await Promise.all(
      Array.from({ length: 100 }, (_, worker) => setup.queue.claim(worker + 1, 4, 150, 'any')),
    );
    const won = claims.flat().map(({ id }) => id);
    expect(won).toHaveLength(200);
    expect(new Set(won)).toEqual(ids);
  });

  it('leaves suspects to those who ask for one', async () => {
    const id = await setup.submit();
    await db.database.query('test.suspect', sql`update tasks set suspect = true where id = ${id}`);
    expect(await setup.queue.claim(1, 5, 150, 'any')).toEqual([]);
    const other = await setup.submit();
    expect((await setup.queue.claim(1, 5, 150, 'any')).map((task) => task.id)).toEqual([other]);
    expect(await setup.queue.suspectDue()).toBe(true);
    expect(await setup.queue.claim(1, 1, 150, 'suspect')).toHaveLength(1);
  });
});

describe('promoting', () => {
  it('makes a task ready when its time has come, and not before', async () => {
    const id = await setup.submit();
    const [task] = await setup.queue.claim(1, 1, 150, 'any');
    const transition = progress(task!, {
      to: 'queued',
      queue: { next_status: 'task_running', delay_ms: 3_600_000, wait_reason: 'retry_at' },
    });
    expect(await setup.transitions.commit(transition)).toBe(true);
    expect(await setup.queue.promote(10)).toEqual([]);
    expect(await setup.queue.claim(1, 1, 150, 'any')).toEqual([]);
    await db.database.query('test.due', sql`update tasks set run_at = clock_timestamp() where id = ${id}`);
    expect(await setup.queue.promote(10)).toEqual([id]);
    expect(await setup.queue.claim(1, 1, 150, 'any')).toHaveLength(1);
  });
});

describe('transitions', () => {
  it('writes everything of a transition, or nothing', async () => {
    await setup.submit();
    const [task] = await setup.queue.claim(1, 1, 150, 'any');
    const stage = {
      id: setup.clock.newId(),
      role: 'task' as const,
      position: 1,
      iteration: 1,
      attempt: 1,
      status: 'running' as const,
    };
    expect(
      await setup.transitions.commit(
        progress(task!, { stages: [stage], events: [{ type: 'stage.started', data: { role: 'task' } }] }),
      ),
    ).toBe(true);
    const broken = progress(task!, {
      guard: { epoch: task!.epoch, version: task!.version + 1 },
      stages: [{ ...stage, status: 'complete' }],
      reviews: [
        {
          id: setup.clock.newId(),
          stage_id: stage.id,
          iteration: 1,
          verdict: 'no such verdict',
          issues: [],
          summary: '',
        },
      ],
    });
    await expect(setup.transitions.commit(broken)).rejects.toThrow(/verdict_is_known/);
    const stages = await db.database.query('test.stages', sql`select status from stages where task_id = ${task!.id}`);
    expect(stages).toEqual([{ status: 'running' }]);
    expect(await row(task!.id)).toMatchObject({ version: task!.version + 1 });
  });

  it('refuses a worker whose epoch is over, and one that repeats itself', async () => {
    await setup.submit();
    const [task] = await setup.queue.claim(1, 1, 150, 'any');
    expect(await setup.transitions.commit(progress(task!))).toBe(true);
    expect(await setup.transitions.commit(progress(task!))).toBe(false);
    const cancel = progress(task!, {
      to: 'cancelled',
      guard: { epoch: task!.epoch, version: task!.version + 1 },
      raise_epoch: true,
      events: [{ type: 'task.finished', data: {} }],
    });
    expect(await setup.transitions.commit(cancel)).toBe(true);
    expect(
      await setup.transitions.commit(progress(task!, { guard: { epoch: task!.epoch, version: task!.version + 2 } })),
    ).toBe(false);
  });

  it('refuses what the table of transitions does not hold', async () => {
    await setup.submit();
    const [task] = await setup.queue.claim(1, 1, 150, 'any');
    expect(() => setup.transitions.commit(progress(task!, { from: 'complete', to: 'queued' }))).toThrow(/may not go/);
  });

  it('stores hostile text with U+FFFD where PostgreSQL would refuse it', async () => {
    await setup.submit();
    const [task] = await setup.queue.claim(1, 1, 150, 'any');
    const stage = {
      id: setup.clock.newId(),
      role: 'task' as const,
      position: 1,
      iteration: 1,
      attempt: 1,
      status: 'complete' as const,
      output: { text: 'a\u0000b\ud800c' },
    };
    expect(await setup.transitions.commit(progress(task!, { stages: [stage] }))).toBe(true);
    const [stored] = await db.database.query<{ output: unknown }>(
      'test.output',
      sql`select output from stages where id = ${stage.id}`,
    );
    expect(stored?.output).toEqual({ text: 'a\ufffdb\ufffdc' });
  });

  it('applies many transitions of many tasks at once, and each exactly once', async () => {
    for (let n = 0; n < 120; n += 1) await setup.submit();
    const claimed = await setup.queue.claim(1, 120, 150, 'any');
    const both = await Promise.all(
      claimed.flatMap((task) => [setup.transitions.commit(progress(task)), setup.transitions.commit(progress(task))]),
    );
    expect(both.filter(Boolean)).toHaveLength(120);
  });

  it('recognises its own success when the answer of the commit was lost', async () => {
    await setup.submit();
    const [task] = await setup.queue.claim(1, 1, 150, 'any');
    const query = db.database.query.bind(db.database);
    let lost = 0;
    const deaf = Object.assign(Object.create(db.database), {
      query: async (name: string, statement: Parameters<typeof query>[1]) => {
        const rows = await query(name, statement);
        if (name === 'tasks.applyTransitions' && lost++ === 0) {
          const { DomainError } = await import('../../../src/platform/errors/index.js');
          throw new DomainError('dependency_unavailable', 'The answer was lost.');
        }
        return rows;
      },
    });
    const { transitions } = queueOn(deaf);
    expect(await transitions.commit(progress(task!))).toBe(true);
    expect(lost).toBeGreaterThan(1);
    expect(await row(task!.id)).toMatchObject({ version: task!.version + 1 });
  });

  it('numbers events without holes and tells where each transition leads', async () => {
    const id = await setup.submit();
    const [task] = await setup.queue.claim(1, 1, 150, 'any');
    await setup.transitions.commit(
      progress(task!, {
        to: 'failed',
        error: { code: 'x', message: 'x' },
        dead_letter: { reason: 'x', error: 'x', stage: 'task' },
        events: [{ type: 'task.finished', data: {} }],
      }),
    );
    const events = await db.database.query<{ seq: number; data: { from: string | null; to: string } }>(
      'test.events',
      sql`select seq, data from task_events where task_id = ${id} order by seq`,
    );
    expect(events.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    for (const { data } of events)
      if (data.from !== null) expect(LEGAL_TRANSITIONS.has(`${data.from} > ${data.to}`)).toBe(true);
  });
});

describe('plans', () => {
  const DEPTH = Number(process.env.NOVA_TEST_QUEUE_DEPTH ?? 20_000);
  let client: pg.Client;
  beforeEach(async () => {
    client = new pg.Client(db.connection);
    await client.connect();
  });
  afterEach(() => client.end());

  // By a connection whose statements may take as long as they take.
  const fill = (count: number, status: string, ready: boolean, done: boolean) =>
    client.query(
      `insert into tasks (id, owner, pod_name, status, next_status, ready, priority, vstart, max_retries, control, run_at, completed_at)
      select gen_random_uuid(), 'o' || n % 50, 'p', $2, 'task_running', $3, n % 10, n, 2, '{}',
        clock_timestamp() + interval '1 hour', case when $4::boolean then clock_timestamp() end
      from generate_series(1, $1::int) n`,
      [count, status, ready, done],
    );
  const explain = async (statement: string, values: unknown[] = []): Promise<string> => {
    const plan = await client.query<{ 'QUERY PLAN': string }>(`explain (costs off) ${statement}`, values);
    return plan.rows.map((line) => line['QUERY PLAN']).join('\n');
  };
  const claims = [
    ['any', 'tasks_ready_idx'],
    ['fresh', 'tasks_fresh_idx'],
    ['suspect', 'tasks_suspect_idx'],
  ] as const;

  it(
    'claims by one index range and without a sort at any depth',
    async () => {
      await fill(DEPTH, 'queued', true, false);
      await fill(DEPTH, 'queued', false, false);
      await fill(DEPTH, 'complete', false, true);
      await client.query('analyze tasks');
      await client.query('update tasks set stage_crashes = 1 where ready and vstart % 2 = 0');
      for (const [kind, index] of claims) {
        const { text, values } = claimStatement(1, 5, 150, kind).toQuery();
        const plan = await explain(text, values);
        expect(plan).toMatch(new RegExp(`Index (Only )?Scan using ${index} on tasks`));
        expect(plan).not.toMatch(/Sort|Seq Scan on tasks/);
      }
    },
    180_000 + DEPTH,
  );

  it('claims by indexes alone while there are no statistics', async () => {
    await fill(2_000, 'complete', false, true);
    for (const [kind] of claims) {
      const { text, values } = claimStatement(1, 5, 150, kind).toQuery();
      const plan = await explain(text, values);
      expect(plan).toMatch(/Index (Only )?Scan using tasks_(ready|fresh|suspect)_idx on tasks/);
      expect(plan).not.toMatch(/Sort|Seq Scan on tasks/);
    }
  });

  it('moves tasks by their primary key, also with a plan that is kept from when there were few', async () => {
    await client.query('set plan_cache_mode = force_generic_plan');
    await client.query(`prepare transitions (jsonb) as ${transitionsStatement(null).toQuery().text}`);
    const plan = await explain(`execute transitions ('[]')`);
    expect(plan).toMatch(/Index Scan using tasks_pkey on tasks/);
    expect(plan).not.toMatch(/Seq Scan on tasks/);
  });
});
