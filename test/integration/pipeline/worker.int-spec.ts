import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { AppConfig } from '../../../src/config/index.js';
import type { TaskExecutor } from '../../../src/modules/pipeline/run/task-executor.js';
import type { Lease } from '../../../src/modules/pipeline/store/lease.js';
import { PipelineConsumer } from '../../../src/modules/pipeline/worker/pipeline.consumer.js';
import type { ClaimedTask } from '../../../src/modules/pipeline/store/task-queue.repository.js';
import { sql } from '../../../src/platform/database/index.js';
import { InProcessTaskBell } from '../../../src/platform/redis/in-process-task-bell.js';
import type { LiveState, TaskBell } from '../../../src/platform/redis/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { progress, queueOn } from './queue-setup.js';
import { eventually } from '../../support/eventually.js';

let db: TestDatabase;
let setup: ReturnType<typeof queueOn>;
let worker: PipelineConsumer | null = null;
const mirrored: string[] = [];

beforeAll(async () => {
  db = await createTestDatabase();
});
beforeEach(async () => {
  await db.database.query('test.clear', sql`truncate tasks cascade`);
  setup = queueOn(db.database);
});
afterEach(async () => {
  worker?.onModuleDestroy();
  await worker?.beforeApplicationShutdown();
  worker = null;
});
afterAll(() => db.drop());

/** A bell that rings by itself all the time. */
function restlessBell(): TaskBell {
  const wait = (_: number, signal: AbortSignal) => setup.clock.sleep(20, signal);
  return { ring: async () => undefined, wait } as unknown as TaskBell;
}

/** A bell that only rings wake. */
class PatientBell extends InProcessTaskBell {
  override wait(_: number, signal: AbortSignal): Promise<boolean> {
    return super.wait(3_600_000, signal);
  }
}

/** A worker whose runs do what `run` says, and leave their lease behind where that answers false. */
function workerWith(
  run: (task: ClaimedTask, lease: Lease) => Promise<boolean>,
  bell: TaskBell = restlessBell(),
  env: Record<string, string> = {},
): PipelineConsumer {
  return new PipelineConsumer(
    AppConfig.from({ SHUTDOWN_GRACE_SECONDS: '1', ...env }),
    setup.clock,
    bell,
    setup.bus,
    { set: async (key: string) => void mirrored.push(key) } as unknown as LiveState,
    setup.queue,
    setup.moves,
    setup.workers,
    { run } as unknown as TaskExecutor,
  );
}

const row = (id: string) =>
  db.database.one<Record<string, unknown>>('test.task', sql`select * from tasks where id = ${id}`);

describe('a lease that no run holds', () => {
  it('of a claim whose answer was lost is given back at once', async () => {
    const id = await setup.submit();
    const ran: ClaimedTask[] = [];
    const claim = setup.queue.claim.bind(setup.queue);
    let lost = false;
    setup.queue.claim = async (...args) => {
      const claimed = await claim(...args);
      if (lost || claimed.length === 0) return claimed;
      lost = true;
      throw new Error('the answer was lost');
    };
    worker = workerWith(async (task) => {
      ran.push(task);
      return setup.moves.commit({
        task_id: task.id,
        from: task.status,
        to: 'cancelled',
        guard: { epoch: task.epoch, version: task.version },
        control: {} as never,
        events: [],
      });
    });
    await worker.start();
    await eventually('ran.length === 1', () => ran.length === 1);
    expect(ran[0]?.id).toBe(id);
    expect(mirrored).toContain(`heartbeat:task:${id}`);
    expect(await row(id)).toMatchObject({ suspect: false, attempt: 2 });
  });

  it('of runs that cannot store their end is given back, but not for ever', async () => {
    const id = await setup.submit();
    let runs = 0;
    let looks = 0;
    const suspectDue = setup.queue.suspectDue.bind(setup.queue);
    setup.queue.suspectDue = () => {
      looks += 1;
      return suspectDue();
    };
    worker = workerWith(async () => {
      runs += 1;
      return false;
    });
    await worker.start();
    await eventually('runs === 3', () => runs === 3);
    const since = looks;
    await eventually('looks > since + 5', () => looks > since + 5);
    expect(runs).toBe(3);
    // The reaper counts the third crash and ends the task.
    expect(await row(id)).toMatchObject({ status: 'task_running', stage_crashes: 2 });
  });
});

it('claims once for a ring and not again for what ends, while nothing was left due', async () => {
  const bell = new PatientBell();
  const claimed: number[] = [];
  const claim = setup.queue.claim.bind(setup.queue);
  setup.queue.claim = async (...args) => {
    const tasks = await claim(...args);
    claimed.push(tasks.length);
    return tasks;
  };
  const ended: string[] = [];
  worker = workerWith(async (task) => {
    const left = await setup.moves.commit(progress(task, { to: 'cancelled' }));
    ended.push(task.id);
    return left;
  }, bell);
  await worker.start();
  await eventually('bell.waiting === 1', () => bell.waiting === 1);
  for (const round of [1, 2]) {
    const id = await setup.submit();
    await bell.ring([id]);
    await eventually(
      'ended.length === round && bell.waiting === 1',
      () => ended.length === round && bell.waiting === 1,
    );
  }
  // An empty claim is made sure of. One more would have come with the second ring at the latest.
  expect(claimed).toEqual([0, 0, 1, 1]);
});

it('takes a suspect once it is alone, and the rest after it', async () => {
  const bell = new PatientBell();
  const first = await setup.submit();
  const ran: string[] = [];
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  worker = workerWith(async (task) => {
    ran.push(task.id);
    if (task.id === first) await released;
    return setup.moves.commit(progress(task, { to: 'cancelled' }));
  }, bell);
  await worker.start();
  await eventually('ran.length === 1 && bell.waiting === 1', () => ran.length === 1 && bell.waiting === 1);
  const suspect = await setup.submit();
  await db.database.query('test.suspect', sql`update tasks set suspect = true where id = ${suspect}`);
  const other = await setup.submit();
  await bell.ring([suspect, other]);
  await eventually('bell.waiting === 1', () => bell.waiting === 1);
  expect(ran).toEqual([first]);
  release();
  await eventually('ran.length === 3', () => ran.length === 3);
  expect(ran).toEqual([first, suspect, other]);
});

it('a look at a lease that has ended does not cost the task’s next one', async () => {
  const id = await setup.submit();
  const leases: Lease[] = [];
  let look: () => void = () => undefined;
  let again: () => void = () => undefined;
  let answer: () => void = () => undefined;
  const looked = new Promise<void>((resolve) => (look = resolve));
  const cameBack = new Promise<void>((resolve) => (again = resolve));
  const answered = new Promise<void>((resolve) => (answer = resolve));
  const findLost = setup.workers.findLost.bind(setup.workers);
  setup.workers.findLost = async (owner, held) => {
    if (!held.some(({ epoch }) => epoch === leases[0]?.epoch)) return findLost(owner, held);
    look();
    await cameBack;
    const lost = await findLost(owner, held);
    setTimeout(() => answer());
    return lost;
  };
  worker = workerWith(async (task, lease) => {
    leases.push(lease);
    if (leases.length === 1) {
      await looked;
      const queue = { next_status: task.status, delay_ms: 0 };
      return setup.moves.commit(progress(task, { to: 'queued', queue }));
    }
    again();
    await answered;
    return setup.moves.commit(progress(task, { to: 'cancelled' }));
  });
  await worker.start();
  await eventually('leases.length === 2', () => leases.length === 2);
  await answered;
  expect(leases.map(({ epoch }) => epoch)).toEqual([1, 2]);
  expect(leases[1]?.lost).toBe(false);
  expect(await row(id)).toMatchObject({ attempt: 2 });
});

it('a run that winds up does not take the task’s next one out of sight', async () => {
  const id = await setup.submit();
  const leases: Lease[] = [];
  let again: () => void = () => undefined;
  let wound: () => void = () => undefined;
  const cameBack = new Promise<void>((resolve) => (again = resolve));
  const woundUp = new Promise<void>((resolve) => (wound = resolve));
  worker = workerWith(async (task, lease) => {
    leases.push(lease);
    if (leases.length > 1) {
      again();
      await new Promise((resolve) => lease.signal.addEventListener('abort', resolve));
      return true;
    }
    // As when the answer of this commit is lost: it is still being asked for while the task goes on.
    await setup.moves.commit(progress(task, { to: 'queued', queue: { next_status: task.status, delay_ms: 0 } }));
    await cameBack;
    expect(lease.lost).toBe(true);
    setTimeout(wound);
    return true;
  });
  await worker.start();
  await eventually('leases.length === 2', () => leases.length === 2);
  await woundUp;
  expect(leases[1]?.lost).toBe(false);
  const { epoch, version } = leases[1] ?? { epoch: 0, version: 0 };
  const cancel = { ...progress({ id, status: 'task_running', epoch, version } as ClaimedTask), raise_epoch: true };
  expect(await setup.moves.commit({ ...cancel, to: 'cancelled' })).toBe(true);
  await eventually('leases[1]?.lost === true', () => leases[1]?.lost === true);
});

it('claims what a suspect was before, also when another worker takes the suspect meanwhile', async () => {
  const [suspect, other] = [await setup.submit(), await setup.submit()];
  await db.database.query('test.suspect', sql`update tasks set suspect = true where id = ${suspect}`);
  const suspectDue = setup.queue.suspectDue.bind(setup.queue);
  setup.queue.suspectDue = async () => {
    await setup.queue.claim(99, 1, 150, true);
    return suspectDue();
  };
  const ran: string[] = [];
  worker = workerWith(async (task) => {
    ran.push(task.id);
    return setup.moves.commit(progress(task, { to: 'cancelled' }));
  }, new PatientBell());
  await worker.start();
  await eventually('ran.length === 1', () => ran.length === 1);
  expect(ran).toEqual([other]);
});

describe('a worker that nobody rings for', () => {
  /** A pause that is not cut short never ends. */
  const neverByTheClock = (): void => {
    const sleep = setup.clock.sleep.bind(setup.clock);
    setup.clock.sleep = (ms, signal) => sleep(ms < 5_000 ? ms : 3_600_000, signal);
  };

  it('claims for each slot that is freed while tasks are due', async () => {
    neverByTheClock();
    const ids = [await setup.submit(), await setup.submit(), await setup.submit()];
    const ran: string[] = [];
    const run = async (task: ClaimedTask): Promise<boolean> => {
      ran.push(task.id);
      return setup.moves.commit(progress(task, { to: 'cancelled' }));
    };
    worker = workerWith(run, new PatientBell(), { PIPELINE_MAX_CONCURRENT: '1' });
    await worker.start();
    await eventually('ran.length === 3', () => ran.length === 3);
    expect(ran).toEqual(ids);
  });

  it('claims again at once when a run has left its lease behind', async () => {
    neverByTheClock();
    await setup.submit();
    const bell = new PatientBell();
    let runs = 0;
    worker = workerWith(async () => {
      runs += 1;
      await eventually('bell.waiting === 1 || runs === 3', () => bell.waiting === 1 || runs === 3);
      return false;
    }, bell);
    await worker.start();
    await eventually('runs === 3', () => runs === 3);
  });
});
