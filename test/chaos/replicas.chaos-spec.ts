/** @needs redis-server */
import { createConnection } from 'node:net';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from '../../src/platform/database/index.js';
import { CommitTrap } from '../support/commit-trap.js';
import type { Answer } from '../support/model-server.js';
import { streamed, PASSING, type StageAnswer } from '../support/stage-models.js';
import { Fleet, Held, SHORT_LEASES, TASK_ONLY } from './fleet.js';

let fleet: Fleet;
beforeAll(async () => {
  fleet = await Fleet.start({ ...SHORT_LEASES, SHUTDOWN_GRACE_SECONDS: '8' });
});
afterEach(() => fleet?.cancelAll());
afterAll(() => fleet?.stop());

const output = (words: string): Record<string, unknown> => ({ ...PASSING.task, output: words });

async function flushAll(): Promise<void> {
  const socket = createConnection({ host: '127.0.0.1', port: fleet.redis.port });
  socket.write('FLUSHALL\r\n');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  expect(answer.toString()).toBe('+OK\r\n');
}

describe('two workers', () => {
  beforeEach(() => fleet.fill(2));

  describe('of which one is killed in the middle of a stage', () => {
    /** The task stage writes a file; the question that follows is held once. */
    function toolStage(held: Held): Answer {
      return (response, asked) => {
        const messages = asked.body.messages as { role: string }[];
        const told = messages.some(({ role }) => role === 'tool');
        if (told && held.asked.length === 0) return held.answer(response, asked);
        const answer: Exclude<StageAnswer, Answer> = asked.body.response_format
          ? PASSING.task
          : told
            ? 'done'
            : { tool_calls: [{ name: 'write_file', arguments: { path: 'made.txt', content: 'made' } }] };
        return streamed(answer)(response, asked);
      };
    }

    it.each([
      ['goes on from its journal', true, 1],
      ['would begin the stage anew without it', false, 2],
    ])('the other one %s', async (_, keepJournal, begun) => {
      const held = new Held();
      const model = fleet.models.model({ task: [toolStage(held)] });
      const id = await fleet.submit(model, { agents: { task: { allowed_tools: ['write_file'] } } });
      await held.heard();
      const runner = await fleet.runnerOf(id);
      runner.signal('SIGKILL');
      if (!keepJournal) await fleet.database.query('test.forget', sql`delete from stage_journal`);
      expect(await runner.exited).toBeNull();
      expect(await fleet.client.settled(id)).toMatchObject({ status: 'complete', retry_count: 0 });
      expect(await fleet.stages(id)).toEqual([
        'code_review 1 complete',
        'context 1 complete',
        'guardrail 1 complete',
        'task 1 complete',
      ]);
      expect(await readFile(join(fleet.workspace, 'made.txt'), 'utf8')).toBe('made');
      expect(await fleet.count(id, 'task.reaped')).toBe(1);
      expect(fleet.models.asked(model, 'context')).toBe(1);
      const beginnings = fleet.models.calls.filter(
        (call) => call.model === model && call.offersTools && !call.prompt.includes('"role":"tool"'),
      );
      expect(beginnings).toHaveLength(begun);
    });
  });

  it('of which one sleeps past its lease: the other one ends the task, and the sleeper wakes up to nothing', async () => {
    const held = new Held([output('from the sleeper'), output('from the heir')]);
    const id = await fleet.submit(fleet.models.model({ task: [held.answer] }));
    await held.heard();
    const sleeper = await fleet.runnerOf(id);
    sleeper.signal('SIGSTOP');
    await held.heard(2);
    held.release();
    expect(await fleet.client.settled(id)).toMatchObject({
      status: 'complete',
      result: { output: 'from the heir' },
    });
    const before = await fleet.client.events(id);
    sleeper.signal('SIGCONT');
    await sleeper.untilLogged(({ message }) => message.includes(`Task ${id}: the lease of epoch 1 is gone`));
    expect(await fleet.client.events(id)).toEqual(before);
    expect(await fleet.client.task(id)).toMatchObject({ result: { output: 'from the heir' } });
    expect(await fleet.stages(id)).toEqual(['task 1 complete']);
    await sleeper.untilReady();
  });

  it('lose no task and repeat none when Redis is emptied, killed and started again', async () => {
    const held = new Held();
    const blocking = fleet.models.model({ task: [held.answer] });
    const quick = fleet.models.model();
    // Both workers are full, so that the others wait.
    const tasks = await Promise.all(Array.from({ length: 10 }, () => fleet.submit(blocking)));
    await held.heard(10);
    const pod = await fleet.client.createPod(quick, TASK_ONLY);
    const more = async (): Promise<void> => {
      tasks.push(...(await Promise.all(Array.from({ length: 10 }, () => fleet.client.submit(pod.name)))));
    };
    await more();
    await flushAll();
    await more();
    await fleet.redis.kill();
    await more();
    held.release();
    for (const id of tasks) expect(await fleet.client.settled(id)).toMatchObject({ status: 'complete' });
    // Now everybody waits for a bell that nobody can ring.
    const unheard = await fleet.client.submit(pod.name);
    expect(await fleet.client.settled(unheard)).toMatchObject({ status: 'complete' });
    await fleet.redis.start();
    expect(fleet.models.asked(blocking, 'task')).toBe(10);
    expect(fleet.models.asked(quick, 'task')).toBe(31);
    for (const worker of fleet.workers) await worker.untilReady();
  });

  it.each(['comes back at once', 'stays away until they have fenced themselves'])(
    'live through a PostgreSQL that crashes and %s, and end their tasks',
    async (how) => {
      const held = new Held();
      const model = fleet.models.model({ task: [held.answer] });
      const tasks = await Promise.all([fleet.submit(model), fleet.submit(model), fleet.submit(model)]);
      await held.heard(tasks.length);
      const pids = fleet.workers.map(({ pid }) => pid);
      await fleet.postgres.halt('immediate');
      if (how === 'comes back at once') held.release();
      else for (const { closed } of held.asked) expect(await closed).toBe('aborted');
      await fleet.postgres.start();
      await fleet.observer.untilReady();
      // Whoever fenced itself asks again.
      const releasing = setInterval(() => held.release(), 50);
      try {
        for (const id of tasks) expect(await fleet.client.settled(id)).toMatchObject({ status: 'complete' });
      } finally {
        clearInterval(releasing);
      }
      for (const id of tasks) expect(await fleet.stages(id)).toEqual(['task 1 complete']);
      expect(fleet.workers.map(({ pid }) => pid)).toEqual(pids);
    },
  );

  it('bury a task that kills its worker three times, and nothing else', async () => {
    let kills = 0;
    let id = '';
    const submitted: { resolve?: () => void } = {};
    const known = new Promise<void>((resolve) => (submitted.resolve = resolve));
    const deadly: Answer = async (response) => {
      await known;
      const runner = await fleet.runnerOf(id);
      kills += 1;
      runner.signal('SIGKILL');
      await runner.exited;
      await fleet.fill(2);
      response.destroy();
    };
    const poison = fleet.models.model({ task: [deadly, deadly, deadly, PASSING.task] });
    const quick = fleet.models.model();
    const pod = await fleet.client.createPod(quick, TASK_ONLY);
    const bystanders = await Promise.all(Array.from({ length: 10 }, () => fleet.client.submit(pod.name)));
    id = await fleet.submit(poison);
    submitted.resolve?.();
    while ((await fleet.client.events(id)).every(({ type }) => type !== 'task.finished')) {
      bystanders.push(await fleet.client.submit(pod.name));
      await fleet.client.settled(bystanders.at(-1) ?? '');
    }
    expect(kills).toBe(3);
    expect(await fleet.client.task(id)).toMatchObject({ status: 'failed' });
    expect((await fleet.client.admin('GET', '/api/v1/pipeline/dead-letter', undefined, 200)).body).toMatchObject([
      { task_id: id, reason: 'crashed' },
    ]);
    expect(await fleet.count(id, 'task.reaped')).toBe(3);
    await fleet.client.expectLegalTransitions(id);
    for (const bystander of bystanders) {
      expect(await fleet.client.settled(bystander)).toMatchObject({ status: 'complete' });
      // Those that ran beside the first kill; after that the poison runs alone.
      expect(await fleet.count(bystander, 'task.reaped')).toBeLessThanOrEqual(1);
    }
    await fleet.client.admin('POST', `/api/v1/pipeline/dead-letter/${id}/requeue`, undefined, 200);
    const finished = ({ data }: { data: { to?: string } }): boolean => data.to === 'complete';
    await fleet.client.until(id, finished);
    expect(await fleet.client.task(id)).toMatchObject({ status: 'complete', error: null });
  });

  it('hand over at SIGTERM: a running stage gets its grace, the rest goes on elsewhere, nothing counts as a crash', async () => {
    await fleet.clear();
    const leaving = await fleet.add();
    const soon = new Held();
    const late = new Held();
    const ending = await fleet.submit(fleet.models.model({ task: [soon.answer] }));
    const lasting = await fleet.submit(fleet.models.model({ task: [late.answer] }));
    await Promise.all([soon.heard(), late.heard()]);
    const heir = await fleet.add();
    leaving.signal('SIGTERM');
    await leaving.untilLogged(({ message }) => message === 'The service is shutting down');
    expect((await leaving.fetch('/health/ready')).status).toBe(503);
    soon.release();
    expect(await fleet.client.settled(ending)).toMatchObject({ status: 'complete' });
    expect(soon.asked).toHaveLength(1);
    // The grace ends: the call is given up, and the heir makes it anew.
    expect(await (await late.heard()).closed).toBe('aborted');
    await late.heard(2);
    expect(await fleet.runnerOf(lasting)).toBe(heir);
    late.release();
    expect(await fleet.client.settled(lasting)).toMatchObject({ status: 'complete', retry_count: 0 });
    expect(await leaving.exited).toBe(0);
    for (const id of [ending, lasting]) {
      expect(await fleet.count(id, 'task.reaped')).toBe(0);
      expect(await fleet.stages(id)).toEqual(['task 1 complete']);
    }
    expect(await fleet.count(lasting, 'task.claimed')).toBe(2);
  });
});

it('a commit that reaches PostgreSQL after its lease is refused', async () => {
  await fleet.clear();
  const trap = await CommitTrap.before(fleet.postgres.url());
  try {
    const sleeper = await fleet.add({ DATABASE_URL: trap.databaseUrl });
    const held = new Held([output('too late'), output('in time')]);
    const id = await fleet.submit(fleet.models.model({ task: [held.answer] }));
    await held.heard();
    const sprung = new Promise<void>((resolve) => {
      trap.set({
        at: 1,
        when: 'late',
        spring: () => {
          sleeper.signal('SIGSTOP');
          resolve();
        },
      });
    });
    held.release();
    await sprung;
    await fleet.add();
    await held.heard(2);
    await trap.deliver();
    held.release();
    expect(await fleet.client.settled(id)).toMatchObject({ status: 'complete', result: { output: 'in time' } });
    sleeper.signal('SIGCONT');
    await sleeper.untilLogged(({ message }) => message.includes(`Task ${id}: the lease of epoch 1 is gone`));
    expect(await fleet.stages(id)).toEqual(['task 1 complete']);
  } finally {
    await fleet.clear();
    await trap.close();
  }
});

describe('workers whose leases and heartbeats are far too long for a test', () => {
  beforeAll(async () => {
    await fleet.clear();
    const settings = { TASK_HEARTBEAT_INTERVAL_SECONDS: '300', TASK_STALE_SECONDS: '3000' };
    await Promise.all([fleet.add(settings), fleet.add(settings)]);
  });
  afterAll(() => fleet.clear());

  // Only the message, or the look at the leases that replaces it, can stop the call.
  it.each(['with Redis', 'while Redis is gone'])(
    'stop the call of a task that is cancelled elsewhere, %s',
    async (how) => {
      const held = new Held();
      const id = await fleet.submit(fleet.models.model({ task: [held.answer] }));
      const asked = await held.heard();
      if (how !== 'with Redis') await fleet.redis.kill();
      expect((await fleet.client.cancel(id)).status).toBe(200);
      expect(await asked.closed).toBe('aborted');
      expect(await fleet.client.settled(id)).toMatchObject({ status: 'cancelled' });
      expect(held.asked).toHaveLength(1);
      if (how !== 'with Redis') await fleet.redis.start();
    },
  );

  it('know one that was killed by its lock, and go on with its work', async () => {
    const held = new Held();
    const id = await fleet.submit(fleet.models.model({ task: [held.answer] }));
    await held.heard();
    const runner = await fleet.runnerOf(id);
    runner.signal('SIGKILL');
    await held.heard(2);
    held.release();
    expect(await fleet.client.settled(id)).toMatchObject({ status: 'complete' });
    const reaped = (await fleet.client.events(id)).filter(({ type }) => type === 'task.reaped');
    expect(reaped).toMatchObject([{ data: { reason: 'worker_dead', crashes: 1 } }]);
  });
});
