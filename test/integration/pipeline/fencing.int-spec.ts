import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type Database, type Sql, sql } from '../../../src/platform/database/index.js';
import { JournalRepository } from '../../../src/modules/pipeline/store/journal.repository.js';
import { Lease, LeaseLostError } from '../../../src/modules/pipeline/store/lease.js';
import { initialControl } from '../../../src/modules/pipeline/rules/task-control.js';
import type { ClaimedTask } from '../../../src/modules/pipeline/store/task-queue.repository.js';
import { LoadedTasksRepository } from '../../../src/modules/pipeline/store/loaded-tasks.repository.js';
import { TaskExecution } from '../../../src/modules/pipeline/run/task-execution.js';
import { TaskSpendsRepository } from '../../../src/modules/pipeline/store/task-spends.repository.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { LEGAL_TRANSITIONS } from '../../support/legal-transitions.js';
import { expireLeases, progress, queueOn, reaperOn } from './queue-setup.js';

let db: TestDatabase;
let setup: ReturnType<typeof queueOn>;

beforeAll(async () => {
  db = await createTestDatabase();
  setup = queueOn(db.database);
});
beforeEach(async () => {
  await db.database.query('test.clear', sql`truncate tasks cascade`);
});
afterAll(() => db?.drop());

/** The same worker twice: as it was before its lease ended, and as the holder that it is now. */
async function zombieAndHolder(): Promise<{ zombie: ClaimedTask; holder: ClaimedTask }> {
  await setup.submit();
  const [zombie] = await setup.queue.claim(1, 1, 150, 'any');
  await expireLeases(db.database);
  await (await reaperOn(db.database)).pass();
  const [holder] = await setup.queue.claim(1, 1, 150, 'any');
  if (!zombie || !holder) throw new Error('The task was not claimed twice.');
  expect(holder.id).toBe(zombie.id);
  return { zombie, holder };
}

/** Takes `clause` out of a statement, for the controls: a guard that nothing depends on guards nothing. */
function without(clause: string, query: Sql, instead: string): Sql {
  const { text, values } = query.toQuery();
  expect(text).toContain(clause);
  return Object.assign(Object.create(query) as Sql, {
    toQuery: () => ({ text: text.replace(clause, () => instead), values }),
  });
}

/** The database, but the statement `name` lacks `clause`. */
function databaseWithout(clause: string, name: string, instead = ''): Database {
  return Object.assign(Object.create(db.database) as Database, {
    query: (asked: string, query: Sql) =>
      db.database.query(asked, asked === name ? without(clause, query, instead) : query),
  });
}

describe('a zombie', () => {
  /** It even knows the present version; only its epoch is over. */
  const late = ({ zombie, holder }: Awaited<ReturnType<typeof zombieAndHolder>>) =>
    progress(zombie, {
      guard: { epoch: zombie.epoch, version: holder.version },
      to: 'complete',
      events: [{ type: 'task.finished', data: { status: 'complete' } }],
    });

  it('cannot move the task that another one holds', async () => {
    const both = await zombieAndHolder();
    expect(await setup.transitions.commit(late(both))).toBe(false);
    expect(await setup.transitions.commit(progress(both.holder))).toBe(true);
  });

  it('could, were it not for the epoch', async () => {
    const both = await zombieAndHolder();
    const unguarded = queueOn(databaseWithout('t.epoch = m.epoch and', 'tasks.applyTransitions'));
    expect(await unguarded.transitions.commit(late(both))).toBe(true);
  });

  it('cannot move it with its own version either, whatever the epoch says', async () => {
    const { zombie } = await zombieAndHolder();
    const unguarded = queueOn(databaseWithout('t.epoch = m.epoch and', 'tasks.applyTransitions'));
    expect(await unguarded.transitions.commit(progress(zombie))).toBe(false);
  });

  describe('that writes its journal', () => {
    const entry = { seq: 1, kind: 'result', callId: '1', text: '', isError: false, durationMs: 0 } as const;
    const append = async (journals: JournalRepository, task: ClaimedTask): Promise<void> => {
      const [stage] = await db.database.query<{ id: string }>(
        'test.stage',
        sql`
          insert into stages (id, task_id, role, position, iteration, attempt, status)
          values (${setup.clock.newId()}, ${task.id}, 'task', 1, 1, 1, 'running')
          on conflict (task_id, role, iteration, attempt) do update set position = 1
          returning id`,
      );
      await journals.append(new Lease(task.id, 1, task.epoch, task.version), stage?.id ?? '', entry, {
        input_tokens: 10,
        cached_input_tokens: 4,
        output_tokens: 1,
        cost_usd: 0,
        promised_usd: 0,
      });
    };

    it('is refused, and what it used is not counted', async () => {
      const { zombie, holder } = await zombieAndHolder();
      const journals = new JournalRepository(db.database);
      await expect(append(journals, zombie)).rejects.toThrow(LeaseLostError);
      await append(journals, holder);
      const rows = await db.database.query('test.journal', sql`select seq, epoch from stage_journal`);
      expect(rows).toEqual([{ seq: 1, epoch: holder.epoch }]);
      expect(
        await db.database.one(
          'test.used',
          sql`select input_tokens, cached_input_tokens from tasks where id = ${zombie.id}`,
        ),
      ).toEqual({ input_tokens: 10, cached_input_tokens: 4 });
    });

    it('goes on from no earlier attempt', async () => {
      const { zombie, holder } = await zombieAndHolder();
      const journals = new JournalRepository(db.database);
      await append(journals, holder);
      const [from] = await db.database.query<{ id: string }>('test.stage', sql`select id from stages`);
      const to = setup.clock.newId();
      await db.database.query(
        'test.attempt',
        sql`insert into stages (id, task_id, role, position, iteration, attempt, status)
            values (${to}, ${holder.id}, 'task', 1, 1, 2, 'running')`,
      );
      const carry = (task: ClaimedTask, life = 0) =>
        journals.carry(new Lease(task.id, 1, task.epoch, task.version), from!.id, to, life);
      await expect(carry(zombie)).rejects.toThrow(LeaseLostError);
      expect(await carry(holder, holder.epoch)).toEqual([]);
      const carried = [{ ...entry, carried: true }];
      expect(await carry(holder)).toEqual(carried);
      // The answer of the first may have been lost.
      expect(await carry(holder)).toEqual(carried);
    });

    it('would be heard, were it not for the epoch', async () => {
      const { zombie } = await zombieAndHolder();
      const journals = new JournalRepository(
        databaseWithout('and epoch = $2', 'journal.append', 'and $2::bigint is not null'),
      );
      await append(journals, zombie);
      expect(await db.database.query('test.journal', sql`select seq from stage_journal`)).toHaveLength(1);
    });
  });

  describe('that used something and could not write it', () => {
    const counted = { input_tokens: 10, cached_input_tokens: 6, output_tokens: 2, cost_usd: 0.5 };
    const spent = { ...counted, promised_usd: 0 };
    const used = { model: 'm', ...counted, usage_estimated: true, duration_ms: 7 };
    const total = (id: string) =>
      db.database.one(
        'test.used',
        sql`select input_tokens, cached_input_tokens, output_tokens, cost_usd from tasks where id = ${id}`,
      );
    const leaseOf = (task: ClaimedTask) => new Lease(task.id, 1, task.epoch, task.version);

    it('is counted once, also in the stage that somebody else ended', async () => {
      const { zombie, holder } = await zombieAndHolder();
      const spends = new TaskSpendsRepository(db.database);
      const [ended, running] = [setup.clock.newId(), setup.clock.newId()];
      await db.database.query(
        'test.stages',
        sql`
          insert into stages (id, task_id, role, position, iteration, attempt, status, completed_at)
          values (${ended}, ${zombie.id}, 'task', 1, 1, 1, 'cancelled', clock_timestamp()),
            (${running}, ${zombie.id}, 'guardrail', 2, 1, 1, 'running', null)`,
      );
      const stages = [ended, running].map((id) => ({ id, ...used }));
      await spends.settle(leaseOf(zombie), spent, stages);
      await spends.settle(leaseOf(zombie), spent, stages);
      expect(await total(zombie.id)).toEqual(counted);
      await spends.settle(leaseOf(holder), spent, []);
      expect(await total(zombie.id)).toEqual({
        input_tokens: 20,
        cached_input_tokens: 12,
        output_tokens: 4,
        cost_usd: 1,
      });
      const rows = await db.database.query(
        'test.stages',
        sql`select status, model, input_tokens, cached_input_tokens, duration_ms from stages where task_id = ${zombie.id} order by position`,
      );
      expect(rows).toEqual([
        { status: 'cancelled', model: 'm', input_tokens: 10, cached_input_tokens: 6, duration_ms: 7 },
        { status: 'running', model: null, input_tokens: 0, cached_input_tokens: 0, duration_ms: null },
      ]);
    });

    it('gives nothing of the limit away any more', async () => {
      const { zombie, holder } = await zombieAndHolder();
      const spends = new TaskSpendsRepository(db.database);
      await expect(spends.grant(leaseOf(zombie), 1)).rejects.toThrow(LeaseLostError);
      await spends.grant(leaseOf(holder), 2);
      await spends.grant(leaseOf(holder), 1);
      expect(await db.database.one('test.granted', sql`select granted_usd from tasks`)).toEqual({ granted_usd: 3 });
    });
  });

  it('that was killed in a model call leaves what it promised counted, until a write takes it back', async () => {
    const { zombie, holder } = await zombieAndHolder();
    const spends = new TaskSpendsRepository(db.database);
    const lease = new Lease(holder.id, 1, holder.epoch, holder.version);
    const promised = () => db.database.one('test.promised', sql`select promised_usd from tasks`);
    await expect(spends.promise(new Lease(zombie.id, 1, zombie.epoch, zombie.version), 1)).rejects.toThrow(
      LeaseLostError,
    );
    for (let n = 0; n < 4; n += 1) await spends.promise(lease, 2);
    expect(await promised()).toEqual({ promised_usd: 8 });
    const taken = { input_tokens: 0, cached_input_tokens: 0, output_tokens: 0, cost_usd: 0, promised_usd: -2 };
    // A worker that was not dead after all, a journal and a transition.
    await spends.settle(new Lease(zombie.id, 1, zombie.epoch, zombie.version), taken, []);
    const stage = setup.clock.newId();
    await db.database.query(
      'test.stage',
      sql`insert into stages (id, task_id, role, position, iteration, attempt, status)
          values (${stage}, ${holder.id}, 'task', 1, 1, 1, 'running')`,
    );
    const entry = { seq: 0, kind: 'result', callId: '1', text: '', isError: false, durationMs: 0 } as const;
    await new JournalRepository(db.database).append(lease, stage, entry, taken);
    await setup.transitions.commit(progress(holder, { spent: { ...taken, execution_ms: 0 } }));
    expect(await promised()).toEqual({ promised_usd: 2 });
    const task = (await new LoadedTasksRepository(db.database).find(holder.id))!;
    expect(new TaskExecution(task, lease, setup.transitions, () => 0).committedUsd).toBe(2);
  });

  describe('that beats', () => {
    const beat = async (task: ClaimedTask, change: (text: string) => string): Promise<Set<string>> => {
      const connection = await db.database.reserve('test', () => undefined);
      try {
        const changed = Object.assign(Object.create(connection) as typeof connection, {
          query: (text: string, values: unknown[]) => connection.query(change(text), values),
        });
        return await setup.workers.beat(changed, 1, [{ taskId: task.id, epoch: task.epoch }], 150);
      } finally {
        await connection.end();
      }
    };

    it('renews nothing and learns it', async () => {
      const { zombie, holder } = await zombieAndHolder();
      expect(await beat(zombie, (text) => text)).toEqual(new Set());
      expect(await beat(holder, (text) => text)).toEqual(new Set([holder.id]));
    });

    it('would keep its lease, were it not for the epoch', async () => {
      const { zombie } = await zombieAndHolder();
      const clause = 'and t.epoch = l.epoch';
      const held = await beat(zombie, (text) => {
        expect(text).toContain(clause);
        return text.replace(clause, '');
      });
      expect(held).toEqual(new Set([zombie.id]));
    });
  });
});

describe('reapers of three replicas and a worker that finishes', () => {
  it('move each task once, and each crash is counted once', async () => {
    for (let n = 0; n < 60; n += 1) await setup.submit();
    const claimed = await setup.queue.claim(1, 60, 150, 'any');
    expect(claimed).toHaveLength(60);
    await expireLeases(db.database);
    const finishing = queueOn(db.database);
    const finish = async (task: ClaimedTask): Promise<[string, boolean]> => {
      const transition = progress(task, {
        to: 'complete',
        events: [{ type: 'task.finished', data: { status: 'complete' } }],
      });
      return [task.id, await finishing.transitions.commit(transition)];
    };
    const reapers = await Promise.all([reaperOn(db.database), reaperOn(db.database), reaperOn(db.database)]);
    const passes = reapers.map((one) => one.pass());
    const finished = new Map(await Promise.all(claimed.map(finish)));
    await Promise.all(passes);
    const rows = await db.database.query<{ id: string; status: string; stage_crashes: number; transitions: number }>(
      'test.tasks',
      sql`
        select id, status, stage_crashes,
          (select count(*)::int from task_events e where e.task_id = t.id and e.type in ('task.reaped', 'task.finished')) as transitions
        from tasks t`,
    );
    for (const { id, ...row } of rows) {
      expect(row).toEqual(
        finished.get(id)
          ? { status: 'complete', stage_crashes: 0, transitions: 1 }
          : { status: 'queued', stage_crashes: 1, transitions: 1 },
      );
    }
  });

  it('leave a lease alone that was renewed in time', async () => {
    await setup.submit();
    const [task] = await setup.queue.claim(1, 1, 150, 'any');
    await (await reaperOn(db.database)).pass();
    expect(await setup.transitions.commit(progress(task!))).toBe(true);
  });

  it('bury a task at its third crash in one stage, not before, and its requeue forgets the crashes', async () => {
    const id = await setup.submit();
    const told: string[] = [];
    for (let crash = 1; crash <= 3; crash += 1) {
      await db.database.query('test.due', sql`update tasks set ready = true where id = ${id} and status = 'queued'`);
      await setup.queue.claim(crash, 1, 150, crash > 2 ? 'suspect' : 'any');
      await expireLeases(db.database);
      await (await reaperOn(db.database)).pass();
      const { status } = await db.database.one<{ status: string }>(
        'test.status',
        sql`select status from tasks where id = ${id}`,
      );
      told.push(status);
    }
    expect(told).toEqual(['queued', 'queued', 'failed']);
    expect(await db.database.query('test.letters', sql`select task_id, reason from dead_letters`)).toEqual([
      { task_id: id, reason: 'crashed' },
    ]);
    const events = await db.database.query<{ data: { from: string | null; to: string } }>(
      'test.events',
      sql`select data from task_events where task_id = ${id} order by seq`,
    );
    for (const { data } of events) {
      if (data.from !== null && data.to !== undefined) expect(LEGAL_TRANSITIONS).toContain(`${data.from} > ${data.to}`);
    }
    const { version, epoch } = await db.database.one<{ version: number; epoch: number }>(
      'test.head',
      sql`select version, epoch from tasks where id = ${id}`,
    );
    const revived = await setup.transitions.commit({
      task_id: id,
      from: 'failed',
      to: 'queued',
      guard: { epoch, version },
      control: initialControl(null),
      raise_epoch: true,
      revive: true,
      suspect: false,
      stage_crashes: 0,
      queue: { next_status: 'task_running', delay_ms: 0 },
      error: null,
      events: [{ type: 'task.retried', data: { reason: 'requeued' } }],
    });
    expect(revived).toBe(true);
    expect(await setup.queue.claim(9, 1, 150, 'any')).toHaveLength(1);
    expect(await db.database.query('test.letters', sql`select task_id from dead_letters`)).toEqual([]);
  });
});
