/**
 * State moves a second: the pipeline's flushed moves beside their rival, one transaction of the same statements for each
 * move, on the same server in the same run. Prints the median of several interleaved passes and the ratio.
 *
 *   npm run bench:moves
 */
import { Logger } from '@nestjs/common';
import pg from 'pg';
import { EventBus } from '../src/platform/redis/ports.js';
import { Clock } from '../src/platform/clock/clock.js';
import { Database } from '../src/platform/database/index.js';
import { migrate } from '../src/platform/database/migrator.js';
import type { PodSnapshot } from '../src/modules/pods/index.js';
import type { Transition } from '../src/modules/pipeline/store/transition.js';
import { initialControl } from '../src/modules/pipeline/rules/task-control.js';
import { TaskEventPublisher } from '../src/modules/pipeline/store/task-event-publisher.js';
import { TransitionsRepository } from '../src/modules/pipeline/store/transitions.repository.js';
import { TaskQueueRepository, type ClaimedTask } from '../src/modules/pipeline/store/task-queue.repository.js';
import { startPostgres } from '../test/support/servers/index.js';

const TASKS = 50;
const MOVES_EACH = 40;
const PASSES = 5;

class NoBus extends EventBus {
  readonly connected = true;
  override async publish(): Promise<void> {}
  override subscribe(): () => void {
    return () => undefined;
  }
}

const POD = {
  id: '00000000-0000-7000-8000-000000000001',
  name: 'Quartet',
  maxCostUsd: null,
  agents: [],
} as unknown as PodSnapshot;

function move(task: ClaimedTask, step: number): Transition {
  return {
    task_id: task.id,
    from: task.status,
    to: task.status,
    guard: { epoch: task.epoch, version: task.version + step },
    control: initialControl(null),
    events: [{ type: 'stage.finished', data: { role: 'task', step } }],
  };
}

Logger.overrideLogger(['error']);
const server = await startPostgres({ fsync: true });
try {
  await migrate({ connectionString: server.url() });
  const database = new Database();
  database.attach({ connectionString: server.url(), poolSize: 10 });
  const clock = new Clock();
  const queue = new TaskQueueRepository(database);
  const transitions = new TransitionsRepository(database, clock, new TaskEventPublisher(new NoBus()));
  const pool = new pg.Pool({ connectionString: server.url(), max: 10 });

  const claim = async (): Promise<ClaimedTask[]> => {
    for (let n = 0; n < TASKS; n += 1) {
      await queue.insert({
        id: clock.newId(),
        owner: 'bench',
        pod: POD,
        userInput: 'x',
        metadata: {},
        maxRetries: 0,
        priority: 5,
        nextStatus: 'task_running',
        control: initialControl(null),
      });
    }
    return queue.claim(1, TASKS, 3_600, 'any');
  };
  const flushed = async (task: ClaimedTask): Promise<void> => {
    for (let step = 0; step < MOVES_EACH; step += 1) {
      if (!(await transitions.commit(move(task, step)))) throw new Error('a move was refused');
    }
  };
  const alone = async (task: ClaimedTask): Promise<void> => {
    for (let step = 0; step < MOVES_EACH; step += 1) {
      const client = await pool.connect();
      try {
        await client.query('begin');
        const { rowCount } = await client.query(
          `update tasks set version = version + 1, control = $4, event_seq = event_seq + 1, updated_at = clock_timestamp()
             where id = $1 and epoch = $2 and version = $3 and status = 'task_running'`,
          [task.id, task.epoch, task.version + step, JSON.stringify(initialControl(null))],
        );
        if (rowCount !== 1) throw new Error('a move was refused');
        await client.query("insert into task_events (task_id, seq, type, data) values ($1, $2, 'stage.finished', $3)", [
          task.id,
          1_000 + step,
          JSON.stringify({ role: 'task', step }),
        ]);
        await client.query('commit');
      } finally {
        client.release();
      }
    }
  };
  const rate = async (work: (task: ClaimedTask) => Promise<void>): Promise<number> => {
    const tasks = await claim();
    const started = performance.now();
    await Promise.all(tasks.map(work));
    return (TASKS * MOVES_EACH * 1_000) / (performance.now() - started);
  };
  const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

  const results: Record<'flushed' | 'alone', number[]> = { flushed: [], alone: [] };
  for (let pass = 0; pass < PASSES; pass += 1) {
    results.alone.push(await rate(alone));
    results.flushed.push(await rate(flushed));
  }
  const [together, single] = [median(results.flushed), median(results.alone)];
  console.log(`${TASKS} tasks in flight, ${MOVES_EACH} moves each, median of ${PASSES} passes, fsync on`);
  console.log(`flushed together: ${Math.round(together)} moves/s`);
  console.log(`a transaction each: ${Math.round(single)} moves/s`);
  console.log(`ratio: ${(together / single).toFixed(2)}`);
  await pool.end();
  await database.close();
} finally {
  await server.stop();
}
