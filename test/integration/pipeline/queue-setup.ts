import type { Provider } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { AppConfig } from '../../../src/config/index.js';
import { Clock } from '../../../src/platform/clock/clock.js';
import { Database, sql } from '../../../src/platform/database/index.js';
import { EventBus, TaskBell } from '../../../src/platform/redis/index.js';
import type { Transition } from '../../../src/modules/pipeline/store/transition.js';
import { initialControl } from '../../../src/modules/pipeline/rules/task-control.js';
import { LoadedTasksRepository } from '../../../src/modules/pipeline/store/loaded-tasks.repository.js';
import { TaskAdminRepository } from '../../../src/modules/pipeline/store/task-admin.repository.js';
import { TaskEventPublisher, type PublishedEvent } from '../../../src/modules/pipeline/store/task-event-publisher.js';
import { TransitionsRepository } from '../../../src/modules/pipeline/store/transitions.repository.js';
import { TaskSpendsRepository } from '../../../src/modules/pipeline/store/task-spends.repository.js';
import { TaskQueueRepository, type ClaimedTask } from '../../../src/modules/pipeline/store/task-queue.repository.js';
import { PipelineConsumer } from '../../../src/modules/pipeline/worker/pipeline.consumer.js';
import { PipelineReaper } from '../../../src/modules/pipeline/worker/pipeline.reaper.js';
import { PipelineRetention } from '../../../src/modules/pipeline/worker/pipeline.retention.js';
import { WorkersRepository } from '../../../src/modules/pipeline/store/workers.repository.js';
import { podSnapshot, SYSTEM_POD } from '../../support/pods.js';

export class SilentBell extends TaskBell {
  override async ring(): Promise<void> {}
  override async wait(): Promise<boolean> {
    return false;
  }
}

class SilentBus {
  readonly told: PublishedEvent[] = [];
  readonly connected = true;
  async publish(_: string, message: unknown): Promise<void> {
    this.told.push(message as PublishedEvent);
  }
  subscribe(): () => void {
    return () => undefined;
  }
}

/** The queue's repositories on one database. */
export function queueOn(database: Database) {
  const clock = new Clock();
  const bus = new SilentBus();
  const queue = new TaskQueueRepository(database);
  const transitions = new TransitionsRepository(database, clock, new TaskEventPublisher(bus));
  const workers = new WorkersRepository(database);
  return {
    clock,
    bus,
    queue,
    transitions,
    workers,
    /** Nest's own wiring of `providers` on this queue; the last of two for one token is taken. */
    wire: (...providers: Provider[]): Promise<TestingModule> =>
      Test.createTestingModule({
        providers: [
          { provide: AppConfig, useFactory: () => AppConfig.from({}) },
          { provide: Clock, useValue: clock },
          { provide: Database, useValue: database },
          { provide: EventBus, useValue: bus },
          { provide: TaskBell, useClass: SilentBell },
          { provide: TaskQueueRepository, useValue: queue },
          { provide: TransitionsRepository, useValue: transitions },
          { provide: WorkersRepository, useValue: workers },
          LoadedTasksRepository,
          TaskAdminRepository,
          TaskSpendsRepository,
          ...providers,
        ],
      }).compile(),
    submit: async (owner = 'admin', priority = 5, podId = SYSTEM_POD): Promise<string> => {
      const id = clock.newId();
      await queue.insert({
        id,
        owner,
        pod: podSnapshot([], { id: podId }),
        userInput: 'work',
        metadata: {},
        maxRetries: 2,
        priority,
        nextStatus: 'task_running',
        control: initialControl(null),
      });
      return id;
    },
  };
}

/** Progress within the stage, under the claim's guard. */
export function progress(
  task: Pick<ClaimedTask, 'id' | 'status' | 'epoch' | 'version'>,
  changes: Partial<Transition> = {},
): Transition {
  return {
    task_id: task.id,
    from: task.status,
    to: task.status,
    guard: { epoch: task.epoch, version: task.version },
    control: initialControl(null),
    events: [],
    ...changes,
  };
}

/** A replica's reaper, which shares nothing but the database with others. */
export async function reaperOn(database: Database): Promise<PipelineReaper> {
  const module = await queueOn(database).wire(
    PipelineReaper,
    { provide: PipelineConsumer, useValue: { worker: null } },
    { provide: PipelineRetention, useValue: { pass: async () => undefined } },
  );
  return module.get(PipelineReaper);
}

/** Ends the leases of all workers, or of one, as its death does after a while. */
export async function expireLeases(database: Database, worker: number | null = null): Promise<void> {
  await database.query(
    'test.expire',
    sql`update tasks set lease_until = clock_timestamp() - interval '1 second'
      where lease_owner = coalesce(${worker}::int, lease_owner)`,
  );
}
