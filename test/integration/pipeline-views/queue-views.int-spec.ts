import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { QueueViewsRepository } from '../../../src/modules/pipeline/views/queue-views.repository.js';
import { TASK_STATUSES } from '../../../src/modules/pipeline/rules/task-status.js';
import { WorkersRepository } from '../../../src/modules/pipeline/store/workers.repository.js';
import { Clock } from '../../../src/platform/clock/index.js';
import { sql } from '../../../src/platform/database/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { seedTask } from './seed.js';

describe('views of the queue', () => {
  let db: TestDatabase;
  let queue: QueueViewsRepository;

  beforeAll(async () => {
    db = await createTestDatabase();
    queue = new QueueViewsRepository(db.database);
  });
  afterAll(() => db.drop());
  beforeEach(async () => {
    await db.database.query('test.clear', sql`delete from tasks`);
  });

  const bury = async (taskId: string, deadAt: string): Promise<void> => {
    await db.database.query(
      'test.bury',
      sql`insert into dead_letters (task_id, reason, error, stage, attempts, dead_at)
          values (${taskId}, 'crashed', ${'e'.repeat(3_000)}, 'task', 3, ${deadAt}::timestamptz)`,
    );
  };

  it('names every status and counts nothing in an empty queue', async () => {
    const stats = await queue.stats();
    expect(Object.keys(stats.byStatus).sort()).toEqual([...TASK_STATUSES].sort());
    expect(stats).toMatchObject({
      queueDepth: 0,
      deadLetterDepth: 0,
      running: 0,
      waitingReview: 0,
      oldestQueuedSeconds: null,
    });
  });

  it('counts tasks by where they are', async () => {
    const long = new Date(Date.now() - 90_000).toISOString();
    await seedTask(db.database, { createdAt: long });
    await seedTask(db.database, { ready: false });
    await seedTask(db.database, { status: 'task_running' });
    await seedTask(db.database, { status: 'completing' });
    await seedTask(db.database, {
      status: 'pending_human_review',
      gate: { id: new Clock().newId(), kind: 'final', reason: 'r' },
    });
    await bury(await seedTask(db.database, { status: 'failed' }), '2026-01-01T00:00:00Z');
    await seedTask(db.database, { status: 'failed' });
    const stats = await queue.stats();
    expect(stats).toMatchObject({ queueDepth: 2, deadLetterDepth: 1, running: 2, waitingReview: 1 });
    expect(stats.byStatus).toMatchObject({ queued: 2, task_running: 1, completing: 1, failed: 2, complete: 0 });
    expect(stats.oldestQueuedSeconds).toBeGreaterThanOrEqual(90);
    expect(stats.oldestQueuedSeconds).toBeLessThan(3_600);
  });

  it('counts the workers whose lock is held, in this database only', async () => {
    const workers = new WorkersRepository(db.database);
    const other = await createTestDatabase();
    const before = (await queue.stats()).workers;
    const living = await workers.register('living');
    const [dead, elsewhere] = [await workers.register('dead'), await workers.register('alive in another database')];
    const connection = await workers.connect(living, () => undefined);
    const foreign = await new WorkersRepository(other.database).connect(elsewhere, () => undefined);
    // A lock of one 64-bit key is no worker's, though its halves are those of one.
    await connection.query('select pg_advisory_lock((1853190753::bigint << 32) + $1)', [dead]);
    expect((await queue.stats()).workers).toBe(before + 1);
    await connection.end();
    await foreign.end();
    await other.drop();
    expect((await queue.stats()).workers).toBe(before);
  });

  it('lists dead letters newest first, as many as it counts, in pages', async () => {
    const ids = [];
    for (const second of [1, 2, 2, 3]) {
      const id = await seedTask(db.database, { status: 'failed', userInput: 'u'.repeat(9_000), podName: 'P' });
      await bury(id, `2026-01-01T00:00:00.00000${second}Z`);
      ids.push(id);
    }
    const first = await queue.deadLetters({ limit: 3, offset: 0, after: null });
    expect(first.items.map((letter) => letter.taskId)).toEqual([ids[3], ids[2], ids[1]]);
    expect(first.items[0]).toMatchObject({ reason: 'crashed', stage: 'task', attempts: 3, podName: 'P' });
    expect(first.items[0]?.userInput).toHaveLength(2_001);
    const second = await queue.deadLetters({ limit: 3, offset: 0, after: first.next });
    expect(second.items.map((letter) => letter.taskId)).toEqual([ids[0]]);
    expect(second.next).toBeNull();
    expect((await queue.stats()).deadLetterDepth).toBe(4);
  });
});
