import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { AppConfig } from '../../../src/config/index.js';
import { TaskExecutor } from '../../../src/modules/pipeline/run/task-executor.js';
import { initialControl } from '../../../src/modules/pipeline/rules/task-control.js';
import type { Lease } from '../../../src/modules/pipeline/store/lease.js';
import { PipelineConsumer } from '../../../src/modules/pipeline/worker/pipeline.consumer.js';
import type { ClaimedTask } from '../../../src/modules/pipeline/store/task-queue.repository.js';
import { sql } from '../../../src/platform/database/index.js';
import { InProcessTaskBell } from '../../../src/platform/redis/in-process-task-bell.js';
import { LiveState, TaskBell } from '../../../src/platform/redis/index.js';
import { StorageRoom } from '../../../src/platform/storage/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { expireLeases, progress, queueOn, reaperOn } from './queue-setup.js';
import { eventually } from '../../support/eventually.js';

let db: TestDatabase;
let setup: ReturnType<typeof queueOn>;
let worker: PipelineConsumer | null = null;
const mirrored: string[] = [];
/** Whether the disk is nearly full. */
let short = false;

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
class RestlessBell extends InProcessTaskBell {
  override async wait(_: number, signal: AbortSignal): Promise<boolean> {
    await setup.clock.sleep(20, signal);
    return true;
  }
}

/** A bell that only rings wake. */
class PatientBell extends InProcessTaskBell {
  override wait(_: number, signal: AbortSignal): Promise<boolean> {
    return super.wait(3_600_000, signal);
  }
}

/** A worker whose runs do what `run` says, and leave their lease behind where that answers false. */
async function workerWith(
  run: (task: ClaimedTask, lease: Lease) => Promise<boolean>,
  bell: TaskBell = new RestlessBell(),
  env: Record<string, string> = {},
): Promise<PipelineConsumer> {
  const module = await setup.wire(
    PipelineConsumer,
    { provide: AppConfig, useFactory: () => AppConfig.from({ SHUTDOWN_GRACE_SECONDS: '1', ...env }) },
    { provide: TaskBell, useValue: bell },
    { provide: LiveState, useValue: { set: async (key: string) => void mirrored.push(key) } },
    { provide: TaskExecutor, useValue: { run } },
    { provide: StorageRoom, useValue: { shortOf: () => (short ? 'NOVA_DATA_DIR' : null) } },
  );
  return module.get(PipelineConsumer);
}

const row = (id: string) =>
  db.database.one<Record<string, unknown>>('test.task', sql`select * from tasks where id = ${id}`);

describe('a disk that is nearly full', () => {
  it('keeps tasks queued until there is room, then they go on by themselves', async () => {
    const id = await setup.submit();
    const ran: string[] = [];
    short = true;
    const claim = setup.queue.claim.bind(setup.queue);
    let claims = 0;
    setup.queue.claim = async (...args) => {
      claims += 1;
      return claim(...args);
    };
    let waits = 0;
    const bell = new RestlessBell();
    const wait = bell.wait.bind(bell);
    bell.wait = (...args) => {
      waits += 1;
      return wait(...args);
    };
    worker = await workerWith(async (task) => ran.push(task.id) > 0, bell);
    await worker.start();
    await eventually('it has looked several times', () => waits > 3);
    expect(claims).toBe(0);
    expect(await row(id)).toMatchObject({ status: 'queued' });
    short = false;
    await eventually('the task runs', () => ran.includes(id));
  });
});

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
    worker = await workerWith(async (task) => {
      ran.push(task);
      return setup.transitions.commit({
        task_id: task.id,
        from: task.status,
        to: 'cancelled',
        guard: { epoch: task.epoch, version: task.version },
        control: initialControl(null),
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
    worker = await workerWith(async () => {
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
  worker = await workerWith(async (task) => {
    const left = await setup.transitions.commit(progress(task, { to: 'cancelled' }));
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
  // One more would have come with the second ring at the latest.
  expect(claimed).toEqual([0, 1, 1]);
});

/** Runs that go on until they are released or their worker stops, and what of them ran and runs. */
function heldRuns() {
  const ran: string[] = [];
  const running = new Set<string>();
  const releases = new Map<string, () => void>();
  return {
    ran,
    running,
    release: (...ids: string[]) => ids.forEach((id) => releases.get(id)?.()),
    run: async (task: ClaimedTask, lease: Lease): Promise<boolean> => {
      ran.push(task.id);
      running.add(task.id);
      await new Promise<void>((resolve) => {
        releases.set(task.id, resolve);
        lease.signal.addEventListener('abort', () => resolve(), { once: true });
      });
      running.delete(task.id);
      return setup.transitions.commit(progress(task, { to: 'cancelled' }));
    },
  };
}
/** Submits a task that crashed already: no worker sees it without its crashes. */
const submitCrashed = (crashes: number): Promise<string> =>
  db.database.transaction('test.submitCrashed', async () => {
    const id = await setup.submit();
    await db.database.query(
      'test.crash',
      sql`update tasks set stage_crashes = ${crashes}, suspect = ${crashes > 1} where id = ${id}`,
    );
    return id;
  });

it('takes a suspect once it is alone, and nothing else meanwhile, while others claim', async () => {
  const runs = heldRuns();
  const first = await setup.submit();
  worker = await workerWith(runs.run);
  await worker.start();
  await eventually('the first one runs', () => runs.ran.length === 1);
  const suspect = await submitCrashed(2);
  const others: string[] = [];
  const elsewhere: string[] = [];
  // Once this worker drains, what comes is for others, whose claims no suspect stops.
  await eventually('this worker takes nothing on', async () => {
    others.push(await setup.submit());
    await delay(50);
    elsewhere.push(...(await setup.queue.claim(99, 1, 150, 'any')).map(({ id }) => id));
    return elsewhere.length > 0;
  });
  expect(others).toContain(elsewhere[0]);
  expect(runs.running.has(suspect)).toBe(false);
  const beside = [...runs.running];
  expect(beside).toContain(first);
  runs.release(...beside);
  await eventually('the suspect runs', () => runs.running.has(suspect));
  expect([...runs.running]).toEqual([suspect]);
  const last = await setup.submit();
  runs.release(suspect);
  await eventually('the rest runs', () => runs.ran.includes(last));
});

it('drains one worker of all for suspects', async () => {
  const [one, two] = [heldRuns(), heldRuns()];
  const ids = [await setup.submit(), await setup.submit()];
  worker = await workerWith(one.run, new RestlessBell(), { PIPELINE_MAX_CONCURRENT: '1' });
  const second = await workerWith(two.run, new RestlessBell(), { PIPELINE_MAX_CONCURRENT: '1' });
  try {
    await worker.start();
    await second.start();
    await eventually('both are full', () => one.running.size + two.running.size === 2);
    const suspects = [await submitCrashed(2), await submitCrashed(2)];
    const release = (ids: string[]): void => [one, two].forEach((runs) => runs.release(...ids));
    const running = (): string[] => [...one.running, ...two.running];
    const ended: string[] = [];
    for (const count of [1, 2]) {
      const suspect = await eventually(`suspect ${count} runs`, () => {
        release(running().filter((id) => !suspects.includes(id)));
        return running().find((id) => suspects.includes(id) && !ended.includes(id));
      });
      const other = await setup.submit();
      // The other worker takes what is due, and not the other suspect.
      await eventually('another task runs', () => running().includes(other));
      expect(running().filter((id) => suspects.includes(id))).toEqual([suspect]);
      // From here on the other suspect may run.
      release([suspect, other]);
      await eventually('both have ended', () => [suspect, other].every((id) => !running().includes(id)));
      ended.push(suspect);
    }
    expect([...one.ran, ...two.ran].toSorted()).toEqual(expect.arrayContaining([...ids, ...suspects].toSorted()));
  } finally {
    const all = [...one.ran, ...two.ran];
    one.release(...all);
    two.release(...all);
    second.onModuleDestroy();
    await second.beforeApplicationShutdown();
  }
});

it('runs at most 8 tasks at a time that crashed, and all others beside them', async () => {
  const runs = heldRuns();
  const crashed: string[] = [];
  for (let count = 0; count < 20; count += 1) crashed.push(await submitCrashed(1));
  const fresh: string[] = [];
  for (let count = 0; count < 20; count += 1) fresh.push(await setup.submit());
  worker = await workerWith(runs.run, new RestlessBell(), { PIPELINE_MAX_CONCURRENT: '30' });
  await worker.start();
  const of = (ids: string[]): string[] => [...runs.running].filter((id) => ids.includes(id));
  await eventually('28 run', () => runs.running.size === 28);
  expect([of(crashed), of(fresh)]).toEqual([crashed.slice(0, 8), fresh]);
  for (let done = 8; done < 20; done += 1) {
    runs.release(of(crashed)[0] ?? '');
    await eventually('the next one runs', () => runs.ran.filter((id) => crashed.includes(id)).length === done + 1);
    expect(of(crashed)).toHaveLength(8);
  }
  expect(await row(crashed[0] ?? '')).toMatchObject({ suspect: false });
  runs.release(...runs.ran);
  await eventually('all have ended', () => runs.running.size === 0);
});

it('goes on at once with all that one of two workers had in flight when it died, at most 8 of them at a time', async () => {
  const DEAD = 99;
  for (let count = 0; count < 500; count += 50) await Promise.all(Array.from({ length: 50 }, () => setup.submit()));
  const runs = heldRuns();
  const crashed = (await setup.queue.claim(DEAD, 250, 150, 'any')).map(({ id }) => id);
  worker = await workerWith(runs.run, new RestlessBell(), { PIPELINE_MAX_CONCURRENT: '500' });
  await worker.start();
  await eventually('500 are in flight', () => runs.running.size === 250);
  const others = [...runs.running];
  await expireLeases(db.database, DEAD);
  await (await reaperOn(db.database)).pass();
  const again = (): string[] => [...runs.running].filter((id) => crashed.includes(id));
  let most = 0;
  while (runs.ran.length < 500) {
    await eventually('the next ones run', () => again().length > 0);
    most = Math.max(most, again().length);
    expect(again().length).toBeLessThanOrEqual(8);
    // Nothing that ran beside them was stopped or waited for.
    expect(others.filter((id) => !runs.running.has(id))).toEqual([]);
    runs.release(...again());
  }
  expect(most).toBe(8);
  expect(new Set(runs.ran).size).toBe(500);
  runs.release(...runs.ran);
  await eventually('all have ended', () => runs.running.size === 0);
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
  worker = await workerWith(async (task, lease) => {
    leases.push(lease);
    if (leases.length === 1) {
      await looked;
      const queue = { next_status: task.status, delay_ms: 0 };
      return setup.transitions.commit(progress(task, { to: 'queued', queue }));
    }
    again();
    await answered;
    return setup.transitions.commit(progress(task, { to: 'cancelled' }));
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
  worker = await workerWith(async (task, lease) => {
    leases.push(lease);
    if (leases.length > 1) {
      again();
      await new Promise((resolve) => lease.signal.addEventListener('abort', resolve));
      return true;
    }
    // As when the answer of this commit is lost: it is still being asked for while the task goes on.
    await setup.transitions.commit(progress(task, { to: 'queued', queue: { next_status: task.status, delay_ms: 0 } }));
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
  const cancel = { ...progress({ id, status: 'task_running', epoch, version }), raise_epoch: true };
  expect(await setup.transitions.commit({ ...cancel, to: 'cancelled' })).toBe(true);
  await eventually('leases[1]?.lost === true', () => leases[1]?.lost === true);
});

it('claims what a suspect was before, also when another worker takes the suspect meanwhile', async () => {
  const [suspect, other] = [await setup.submit(), await setup.submit()];
  await db.database.query('test.suspect', sql`update tasks set suspect = true where id = ${suspect}`);
  const suspectDue = setup.queue.suspectDue.bind(setup.queue);
  setup.queue.suspectDue = async () => {
    await setup.queue.claim(99, 1, 150, 'suspect');
    return suspectDue();
  };
  const ran: string[] = [];
  worker = await workerWith(async (task) => {
    ran.push(task.id);
    return setup.transitions.commit(progress(task, { to: 'cancelled' }));
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
      return setup.transitions.commit(progress(task, { to: 'cancelled' }));
    };
    worker = await workerWith(run, new PatientBell(), { PIPELINE_MAX_CONCURRENT: '1' });
    await worker.start();
    await eventually('ran.length === 3', () => ran.length === 3);
    expect(ran).toEqual(ids);
  });

  it('claims again at once when a run has left its lease behind', async () => {
    neverByTheClock();
    await setup.submit();
    const bell = new PatientBell();
    let runs = 0;
    worker = await workerWith(async () => {
      runs += 1;
      await eventually('bell.waiting === 1 || runs === 3', () => bell.waiting === 1 || runs === 3);
      return false;
    }, bell);
    await worker.start();
    await eventually('runs === 3', () => runs === 3);
  });
});
