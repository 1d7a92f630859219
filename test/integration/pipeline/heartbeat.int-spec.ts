import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { AppConfig } from '../../../src/config/index.js';
import { Lease } from '../../../src/modules/pipeline/store/lease.js';
import { WorkerHeartbeat } from '../../../src/modules/pipeline/worker/worker-heartbeat.js';
import { WORKER_LOCK_CLASS } from '../../../src/modules/pipeline/store/workers.repository.js';
import { sql } from '../../../src/platform/database/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';
import { queueOn } from './queue-setup.js';

let db: TestDatabase;
let setup: ReturnType<typeof queueOn>;
let heartbeat: WorkerHeartbeat | null = null;

beforeAll(async () => {
  db = await createTestDatabase();
  setup = queueOn(db.database);
});
afterEach(async () => {
  await heartbeat?.stop();
  heartbeat = null;
});
afterAll(() => db.drop());

/** Backends that hold the lock of `worker`. */
async function holders(worker: number): Promise<number[]> {
  const rows = await db.database.query<{ pid: number }>(
    'test.holders',
    sql`select pid from pg_locks where locktype = 'advisory' and classid = ${WORKER_LOCK_CLASS} and objid = ${worker}
          and granted and database = (select oid from pg_database where datname = current_database())`,
  );
  return rows.map(({ pid }) => pid);
}

describe('a worker whose connection is cut', () => {
  it('has its lock and its lease again long before the next beat is due', async () => {
    // The beat after the first one is due in five minutes: only the loss itself can bring the lock back in time.
    const config = AppConfig.from({ TASK_HEARTBEAT_INTERVAL_SECONDS: '300', TASK_STALE_SECONDS: '1500' });
    const worker = await setup.workers.register('test');
    const id = await setup.submit();
    const [claimed] = await setup.queue.claim(worker, 1, 150, 'any');
    const lease = new Lease(id, worker, claimed?.epoch ?? 0, claimed?.version ?? 0);
    heartbeat = new WorkerHeartbeat(worker, config, setup.clock, setup.workers, () => [lease]);
    await heartbeat.start();
    const [first] = await holders(worker);
    await db.database.query('test.cut', sql`select pg_terminate_backend(${first})`);
    const now = await eventually('the lock is held again', async () => {
      const found = await holders(worker);
      return found.length > 0 && found[0] !== first && found;
    });
    expect(now).toHaveLength(1);
    expect(heartbeat.healthy).toBe(true);
    expect(lease.signal.aborted).toBe(false);
  });

  it('takes its lock from an earlier connection of its own that the server still believes in', async () => {
    const worker = await setup.workers.register('test');
    const lost: Error[] = [];
    await setup.workers.connect(worker, (error) => lost.push(error));
    const [stale] = await holders(worker);
    const again = await setup.workers.connect(worker, () => undefined);
    expect(await holders(worker)).toHaveLength(1);
    expect(await holders(worker)).not.toContain(stale);
    await eventually('the loss is told', () => lost.length > 0);
    expect(lost).toHaveLength(1);
    await again.end();
  });
});
