import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { AppConfig } from '../../../src/config/index.js';
import { Lease } from '../../../src/modules/pipeline/store/lease.js';
import { TaskExecutor } from '../../../src/modules/pipeline/run/task-executor.js';
import { TaskCommandsService } from '../../../src/modules/pipeline/commands/task-commands.service.js';
import { StageRunner } from '../../../src/modules/pipeline/run/stage-runner.js';
import { TaskAdminRepository } from '../../../src/modules/pipeline/store/task-admin.repository.js';
import { initialControl, treeName } from '../../../src/modules/pipeline/rules/task-control.js';
import type { TaskExecution } from '../../../src/modules/pipeline/run/task-execution.js';
import { TaskTrees } from '../../../src/modules/pipeline/run/task-trees.js';
import { ToolRegistry, WorkTrees, type Published, type WorkTree } from '../../../src/modules/tools/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';
import { agentSnapshot, podSnapshot } from '../../support/pods.js';
import { temporaryFolder, type TemporaryFolder } from '../../support/servers/index.js';
import { PASSING } from '../../support/stage-models.js';
import { queueOn } from './queue-setup.js';

let db: TestDatabase;
let folder: TemporaryFolder;
let config: AppConfig;

beforeEach(async () => {
  db = await createTestDatabase();
  folder = temporaryFolder();
  config = AppConfig.from({
    NOVA_WORKSPACE: join(folder.path, 'workspace'),
    NOVA_DATA_DIR: join(folder.path, 'data'),
  });
  await mkdir(config.workspace);
});
afterEach(async () => {
  folder.remove();
  await db.drop();
});

/** What the task stage does, one life after the other, before it fails or is complete. */
type Work = (execution: TaskExecution) => Promise<'failed' | 'complete'>;

/** The pipeline of one task, over real work trees; its stages do the `work`. */
async function setup(trees: WorkTrees, ...lives: Work[]) {
  const { clock, queue, transitions, wire } = queueOn(db.database);
  const module = await wire(
    TaskExecutor,
    TaskCommandsService,
    TaskTrees,
    { provide: AppConfig, useValue: config },
    { provide: WorkTrees, useValue: trees },
    { provide: ToolRegistry, useValue: { holdsWriting: () => true } },
    { provide: StageRunner, useValue: { run: (execution: TaskExecution) => runStage(execution) } },
  );
  const taskTrees = module.get(TaskTrees);
  const runStage = async (execution: TaskExecution): Promise<object> => {
    await taskTrees.forCalls(execution, execution.lease.signal).tree!.open();
    const ended = await lives.shift()!(execution);
    await taskTrees.measure(execution);
    return {
      ...(ended === 'failed'
        ? { kind: 'failed', code: 'model_refused', message: 'no' }
        : { kind: 'complete', output: PASSING.task }),
      stageId: execution.situation.newest.task?.id,
      role: 'task',
      used: { model: 'm', inputTokens: 0, outputTokens: 0, costUsd: 0, estimated: false, durationMs: 1 },
    };
  };
  const admin = module.get(TaskAdminRepository);
  const id = clock.newId();
  await queue.insert({
    id,
    owner: 'admin',
    pod: podSnapshot([agentSnapshot('task', 1)]),
    userInput: 'work',
    metadata: {},
    maxRetries: 0,
    priority: 5,
    nextStatus: 'task_running',
    control: initialControl(null),
  });
  return {
    id,
    admin,
    transitions,
    pipeline: module.get(TaskCommandsService),
    run: async (): Promise<boolean> => {
      const [task] = await queue.claim(1, 1, 60, 'any');
      return module.get(TaskExecutor).run(task!, new Lease(id, 1, task!.epoch, task!.version));
    },
    status: async () => (await admin.findHead(id))?.status,
  };
}

const write = (execution: TaskExecution, name: string): Promise<void> =>
  writeFile(join(execution.tree!.root, name), 'words of the task');

describe('a dead letter that is requeued', () => {
  it('keeps its new work tree when its failed life is cleaned up late', async () => {
    let cleanUp: () => void = () => undefined;
    let late: Promise<void> | null = new Promise<void>((resolve) => (cleanUp = resolve));
    const trees = new (class extends WorkTrees {
      override async withdraw(task: string): Promise<string[]> {
        const held = late;
        late = null;
        await held;
        return super.withdraw(task);
      }
    })(config);
    let failed: Promise<unknown> = Promise.resolve();
    const { pipeline, id, run, status } = await setup(
      trees,
      async (execution) => (await write(execution, 'draft.txt'), 'failed'),
      async (execution) => {
        cleanUp();
        await failed;
        await write(execution, 'result.txt');
        return 'complete';
      },
    );
    failed = run();
    await eventually('the first life is over', async () => (await status()) === 'failed');
    await pipeline.requeue(id);
    await run();
    expect(await status()).toBe('complete');
    expect(await readdir(config.workspace)).toEqual(['result.txt']);
  });

  it('begins with the workspace as it was before its failed life published into it', async () => {
    const trees = new (class extends WorkTrees {
      override async publish(tree: WorkTree): Promise<Published> {
        const published = await super.publish(tree);
        await bury();
        return published;
      }
    })(config);
    let found: string[] = [];
    const { pipeline, id, run, status, transitions, admin } = await setup(
      trees,
      async (execution) => (await write(execution, 'draft.txt'), 'complete'),
      async ({ tree }) => ((found = await readdir(tree!.root)), 'complete'),
    );
    // As the reaper does when the worker has died here for the last time.
    const bury = async (): Promise<void> => {
      const task = (await admin.findHead(id))!;
      await transitions.commit({
        task_id: id,
        from: task.status,
        to: 'failed',
        guard: { epoch: task.epoch, version: task.version },
        control: task.control,
        raise_epoch: true,
        error: { code: 'crashed', message: 'It died.' },
        dead_letter: { reason: 'crashed', error: 'It died.', stage: 'completing' },
        events: [],
      });
    };
    await run();
    expect([await status(), await readdir(config.workspace)]).toEqual(['failed', ['draft.txt']]);
    await pipeline.requeue(id);
    expect(await readdir(config.workspace)).toEqual([]);
    await run();
    expect([await status(), found]).toEqual(['complete', []]);
  });

  it('leaves what cleans up behind it only the trees of lives that are over', async () => {
    const { pipeline, id, run, admin } = await setup(new WorkTrees(config), async () => 'failed');
    expect(await admin.fates([id])).toEqual(new Map([[id, 'unfinished']]));
    await run();
    expect(await admin.fates([id])).toEqual(new Map([[id, 'given_up']]));
    await pipeline.requeue(id);
    const { control } = (await admin.findHead(id))!;
    const tree = treeName(id, control);
    expect(await admin.fates([id, tree, 'no-task'])).toEqual(
      new Map([
        [id, 'given_up'],
        [tree, 'unfinished'],
      ]),
    );
  });
});

it('a task that is cancelled while it publishes stops without a fault, and leaves nothing', async () => {
  const faults = jest.spyOn(Logger.prototype, 'error');
  const trees = new (class extends WorkTrees {
    override async publish(tree: WorkTree): Promise<Published> {
      await pipeline.cancel({ kind: 'admin' }, id);
      return super.publish(tree);
    }
  })(config);
  const { pipeline, id, run, status } = await setup(
    trees,
    async (execution) => (await write(execution, 'draft.txt'), 'complete'),
  );
  expect(await run()).toBe(true);
  expect([await status(), await readdir(config.workspace)]).toEqual(['cancelled', []]);
  expect(faults).not.toHaveBeenCalled();
});
