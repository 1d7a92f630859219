import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Lease } from '../../../src/modules/pipeline/store/lease.js';
import { TaskExecutor } from '../../../src/modules/pipeline/run/task-executor.js';
import { StageRunner } from '../../../src/modules/pipeline/run/stage-runner.js';
import { initialControl } from '../../../src/modules/pipeline/rules/task-control.js';
import { LoadedTasksRepository } from '../../../src/modules/pipeline/store/loaded-tasks.repository.js';
import type { TaskExecution } from '../../../src/modules/pipeline/run/task-execution.js';
import { TaskTrees } from '../../../src/modules/pipeline/run/task-trees.js';
import type { Role } from '../../../src/modules/pipeline/rules/task-status.js';
import type { AgentSnapshot } from '../../../src/modules/pods/index.js';
import { sql } from '../../../src/platform/database/index.js';
import { DomainError } from '../../../src/platform/errors/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { agentSnapshot, podSnapshot } from '../../support/pods.js';
import { PASSING } from '../../support/stage-models.js';
import { queueOn } from './queue-setup.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.drop());

const judge = (role: Role, position: number): AgentSnapshot =>
  agentSnapshot(role, position, { parallelGroup: 'review', maxRetries: 0, onFailure: 'escalate' });

/** Judges that answer at once: the guardrail with a finding that only a person may clear. */
const stages = {
  run: async (execution: TaskExecution, role: Role) => ({
    kind: 'complete',
    stageId: execution.situation.newest[role]?.id,
    role,
    output: role === 'guardrail' ? { ...PASSING.guardrail, findings: [GRAVE] } : PASSING[role],
    used: { model: 'm', inputTokens: 1, outputTokens: 1, costUsd: 0, estimated: false, durationMs: 1 },
  }),
};
const GRAVE = { type: 'harmful_content', severity: 'critical', description: 'harm', evidence: 'here' };
const noTrees = {
  open: async () => null,
  measure: async () => null,
  listChanges: async () => null,
  drop: async () => undefined,
};

it('a verdict that could not be stored is not decided upon when its neighbour ends', async () => {
  const { clock, queue, transitions, wire } = queueOn(db.database);
  const id = clock.newId();
  await queue.insert({
    id,
    owner: 'admin',
    pod: podSnapshot([judge('guardrail', 1), judge('code_review', 2)]),
    userInput: 'work',
    metadata: {},
    maxRetries: 0,
    priority: 5,
    nextStatus: 'guardrail_running',
    control: initialControl(null),
  });
  const commit = transitions.commit.bind(transitions);
  let away = true;
  transitions.commit = async (transition, signal) => {
    const ends = transition.stages?.some(({ role, status }) => role === 'guardrail' && status === 'complete');
    if (ends && away) {
      away = false;
      throw new DomainError('dependency_unavailable', 'The database went away.');
    }
    return commit(transition, signal);
  };
  const module = await wire(
    TaskExecutor,
    { provide: StageRunner, useValue: stages },
    { provide: TaskTrees, useValue: noTrees },
  );
  const tasks = module.get(LoadedTasksRepository);
  const executor = module.get(TaskExecutor);
  const run = async (): Promise<boolean> => {
    const [task] = await queue.claim(1, 1, 60, 'any');
    return executor.run(task!, new Lease(id, 1, task!.epoch, task!.version));
  };
  const task = () =>
    db.database.one<{ status: 'guardrail_running'; epoch: number; version: number }>(
      'test.task',
      sql`select status, epoch, version from tasks where id = ${id}`,
    );
  expect(await run()).toBe(false);
  const { status, ...guard } = await task();
  expect(status).toBe('guardrail_running');
  // As the worker does when the database answers again.
  const control = initialControl(null);
  const queued = { next_status: status, delay_ms: 0 };
  expect(await commit({ task_id: id, from: status, to: 'queued', guard, control, queue: queued, events: [] })).toBe(
    true,
  );

  expect(await run()).toBe(true);
  expect((await task()).status).toBe('pending_human_review');
  expect((await tasks.find(id))?.stages.map((stage) => `${stage.role} ${stage.status}`).toSorted()).toEqual([
    'code_review complete',
    'guardrail complete',
  ]);
  expect((await tasks.find(id))?.findings).toMatchObject([{ type: 'harmful_content', open: true }]);
});

it.each([
  [false, []],
  [true, ['complete']],
])('a task that could make a tree (%s) and completes has trees removed: %j', async (mayMakeTree, expected) => {
  const { clock, queue, wire } = queueOn(db.database);
  const id = clock.newId();
  await queue.insert({
    id,
    owner: 'admin',
    pod: podSnapshot([agentSnapshot('context', 1)]),
    userInput: 'work',
    metadata: {},
    maxRetries: 0,
    priority: 5,
    nextStatus: 'context_running',
    control: initialControl(null),
  });
  const dropped: string[] = [];
  const module = await wire(
    TaskExecutor,
    { provide: StageRunner, useValue: stages },
    {
      provide: TaskTrees,
      useValue: {
        ...noTrees,
        open: async (execution: TaskExecution) => {
          execution.mayMakeTree = mayMakeTree;
          return null;
        },
        publish: async () => ({ conflicts: [] }),
        drop: async (_: unknown, status: string) => dropped.push(status),
      },
    },
  );
  const [task] = await queue.claim(1, 1, 60, 'any');
  expect(await module.get(TaskExecutor).run(task!, new Lease(id, 1, task!.epoch, task!.version))).toBe(true);
  expect(dropped).toEqual(expected);
});
