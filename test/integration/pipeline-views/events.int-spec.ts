import { setImmediate } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { NotificationFeed } from '../../../src/modules/pipeline/http/notification-feed.js';
import type { Notification } from '../../../src/modules/pipeline/http/notification.js';
import { TaskEventFeed } from '../../../src/modules/pipeline/http/task-event-feed.js';
import { TASK_EVENTS_CHANNEL } from '../../../src/modules/pipeline/store/task-event-publisher.js';
import { TaskEventsRepository } from '../../../src/modules/pipeline/views/task-events.repository.js';
import { Clock } from '../../../src/platform/clock/index.js';
import { sql } from '../../../src/platform/database/index.js';
import { DomainError } from '../../../src/platform/errors/index.js';
import { EventBus } from '../../../src/platform/redis/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { seedEvents, seedTask } from './seed.js';

/** A bus whose connection a test may cut: what is published meanwhile is lost. */
class FakeBus extends EventBus {
  connected = true;
  readonly listeners = new Set<(message: unknown) => void>();
  subscribe(channel: string, listener: (message: unknown) => void): () => void {
    if (channel !== TASK_EVENTS_CHANNEL) throw new Error(`nobody publishes on ${channel}`);
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
  async publish(_channel: string, message: unknown): Promise<void> {
    if (this.connected) for (const listener of this.listeners) listener(message);
  }
}

/** A clock that runs twenty times as fast. */
class FastClock extends Clock {
  override monotonicMs(): number {
    return super.monotonicMs() * 20;
  }
  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return super.sleep(ms / 20, signal);
  }
}

describe('the log of tasks', () => {
  let db: TestDatabase;
  let events: TaskEventsRepository;
  let bus: FakeBus;
  let abort: AbortController;

  beforeAll(async () => {
    db = await createTestDatabase();
    events = new TaskEventsRepository(db.database);
  });
  afterAll(() => db.drop());
  beforeEach(() => {
    bus = new FakeBus();
    abort = new AbortController();
  });
  afterEach(() => abort.abort());

  const started = { type: 'stage.started', data: { role: 'task' } };
  const announce = (taskId: string, seq: number, type = 'stage.started') =>
    bus.publish('', { task_id: taskId, seq, type });

  describe('as a stream', () => {
    const feed = (): TaskEventFeed => new TaskEventFeed(bus, events, new FastClock());

    async function seqs(stream: AsyncIterable<{ seq: number }[]>): Promise<number[]> {
      const all: number[] = [];
      for await (const batch of stream) all.push(...batch.map((event) => event.seq));
      return all;
    }

    it('replays ten thousand events in order, in bounded batches, and ends with the task', async () => {
      const id = await seedTask(db.database);
      const many = Array.from({ length: 9_999 }, () => started);
      await seedEvents(db.database, id, [...many, { type: 'task.finished' }], 'complete');
      const sizes: number[] = [];
      const all: number[] = [];
      for await (const batch of feed().follow(id, 0, abort.signal)) {
        sizes.push(batch.length);
        all.push(...batch.map((event) => event.seq));
      }
      expect(all).toEqual(Array.from({ length: 10_000 }, (_, index) => index + 1));
      expect(Math.max(...sizes)).toBeLessThanOrEqual(500);
      expect(await seqs(feed().follow(id, 9_998, abort.signal))).toEqual([9_999, 10_000]);
      expect(await seqs(feed().follow(id, 10_000, abort.signal))).toEqual([]);
    });

    it.each([
      { what: 'announcements arrive', connected: true, announced: true },
      { what: 'announcements are lost', connected: true, announced: false },
      { what: 'the bus is down', connected: false, announced: true },
    ])('has neither gap nor repetition while writers go on and $what', async ({ connected, announced }) => {
      bus.connected = connected;
      const id = await seedTask(db.database);
      const write = async (): Promise<void> => {
        for (let seq = 1; seq <= 60; seq += 2) {
          await seedEvents(db.database, id, [started, started]);
          if (announced) await announce(id, seq + 1);
          if (seq % 20 === 1) await setImmediate();
        }
        await seedEvents(db.database, id, [{ type: 'task.finished' }], 'failed');
        if (announced) await announce(id, 61, 'task.finished');
      };
      const shared = feed();
      const [first, second] = await Promise.all([
        seqs(shared.follow(id, 0, abort.signal)),
        seqs(shared.follow(id, 7, abort.signal)),
        write(),
      ]);
      const expected = Array.from({ length: 61 }, (_, index) => index + 1);
      expect(first).toEqual(expected);
      expect(second).toEqual(expected.slice(7));
      expect(bus.listeners.size).toBe(0);
    });

    it('goes on past an earlier end when a dead letter was put back', async () => {
      const id = await seedTask(db.database);
      await seedEvents(db.database, id, [started, { type: 'task.finished' }, { type: 'task.retried' }]);
      const stream = feed().follow(id, 0, abort.signal);
      expect((await stream.next()).value?.map((event) => event.type)).toEqual([
        'stage.started',
        'task.finished',
        'task.retried',
      ]);
      await seedEvents(db.database, id, [{ type: 'task.finished' }], 'complete');
      await announce(id, 4);
      expect((await stream.next()).value?.map((event) => event.seq)).toEqual([4]);
      expect((await stream.next()).done).toBe(true);
    });

    it('ends when the task is deleted, and when nobody reads any more', async () => {
      const deleted = await seedTask(db.database);
      const stream = feed().follow(deleted, 0, abort.signal);
      const end = stream.next();
      await db.database.query('test.delete', sql`delete from tasks where id = ${deleted}`);
      expect((await end).done).toBe(true);

      const id = await seedTask(db.database);
      const other = feed().follow(id, 0, abort.signal);
      const waiting = other.next();
      abort.abort();
      expect((await waiting).done).toBe(true);
      expect(bus.listeners.size).toBe(0);
    });

    it('waits while the database is away', async () => {
      const id = await seedTask(db.database);
      await seedEvents(db.database, id, [{ type: 'task.finished' }], 'complete');
      const away = jest.spyOn(events, 'after').mockRejectedValueOnce(new DomainError('dependency_unavailable', 'away'));
      expect(await seqs(feed().follow(id, 0, abort.signal))).toEqual([1]);
      away.mockRestore();
    });

    it('keeps other failures', async () => {
      const broken = jest.spyOn(events, 'after').mockRejectedValueOnce(new Error('broken'));
      await expect(seqs(feed().follow(await seedTask(db.database), 0, abort.signal))).rejects.toThrow('broken');
      expect(bus.listeners.size).toBe(0);
      broken.mockRestore();
    });
  });

  describe('as notifications', () => {
    const feed = (): NotificationFeed => new NotificationFeed(bus, events, new FastClock());
    const finished = {
      type: 'task.finished',
      data: { from: 'task_running', to: 'complete', output: 'the secret work' },
    };

    async function take(notifications: AsyncGenerator<Notification>, count: number): Promise<Notification[]> {
      const all: Notification[] = [];
      while (all.length < count) {
        const { value, done } = await notifications.next();
        if (done) break;
        all.push(value);
      }
      return all;
    }

    it.each([
      { what: 'announced', connected: true, announced: true },
      { what: 'not announced', connected: true, announced: false },
      { what: 'announced on a bus that is down', connected: false, announced: true },
    ])('tells each owner of their own tasks once when events are $what', async ({ connected, announced }) => {
      bus.connected = connected;
      const shared = feed();
      const old = await seedTask(db.database, { owner: 'key:a', podName: 'Old' });
      await seedEvents(db.database, old, [finished], 'complete');
      const mine = (await shared.listen(['key:a'])).notifications(abort.signal);
      const everybodys = (await shared.listen(null)).notifications(abort.signal);
      const ids = [];
      for (const owner of ['key:a', 'key:b', 'key:a']) {
        const id = await seedTask(db.database, { owner, podName: `Pod of ${owner}` });
        await seedEvents(db.database, id, [started, finished], 'complete');
        if (announced) {
          await announce(id, 1);
          await announce(id, 2, 'task.finished');
          await announce(id, 2, 'task.finished');
        }
        ids.push(id);
      }
      expect((await take(everybodys, 3)).map((told) => told.taskId)).toEqual(ids);
      const told = await take(mine, 2);
      expect(told.map((one) => one.taskId)).toEqual([ids[0], ids[2]]);
      expect(told[0]).toMatchObject({
        type: 'task.finished',
        title: 'Pod of key:a: complete',
        body: 'The task has ended: complete.',
      });
      expect(JSON.stringify(told)).not.toContain('secret');
      // Whatever comes next is the next thing that happens, not a repetition.
      const last = await seedTask(db.database, { owner: 'key:a' });
      await seedEvents(db.database, last, [{ type: 'gate.opened', data: { kind: 'cost' } }]);
      expect((await take(mine, 1))[0]).toMatchObject({ taskId: last, type: 'gate.opened' });
      abort.abort();
      expect((await mine.next()).done).toBe(true);
      expect((await everybodys.next()).done).toBe(true);
      expect(bus.listeners.size).toBe(0);
    });

    it('is not upset by messages that are no announcements', async () => {
      const shared = feed();
      const listener = (await shared.listen(null)).notifications(abort.signal);
      for (const message of [
        null,
        'text',
        {},
        { task_id: "' or 1", seq: 1, type: 'task.finished' },
        { task_id: 1, seq: {} },
      ]) {
        await bus.publish('', message);
      }
      await announce(new Clock().newId(), Number.MAX_SAFE_INTEGER, 'task.finished');
      const id = await seedTask(db.database);
      await seedEvents(db.database, id, [finished], 'complete');
      await announce(id, 1, 'task.finished');
      expect((await take(listener, 1))[0]).toMatchObject({ taskId: id });
    });

    it('lets a listener go that does not keep up', async () => {
      const listener = await feed().listen(null);
      for (let told = 0; told < 1_001; told += 1) {
        listener.offer('key:a', { type: 'task.finished', taskId: 't', title: '', body: '', at: new Date() });
      }
      expect(bus.listeners.size).toBe(0);
      expect((await take(listener.notifications(abort.signal), 1_001)).length).toBeLessThan(1_001);
    });

    it('refuses listeners while the database is away', async () => {
      const away = jest
        .spyOn(events, 'recent')
        .mockRejectedValueOnce(new DomainError('dependency_unavailable', 'away'));
      await expect(feed().listen(null)).rejects.toMatchObject({ code: 'dependency_unavailable' });
      expect(bus.listeners.size).toBe(0);
      away.mockRestore();
    });
  });
});
