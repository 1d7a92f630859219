import { initialControl } from '../../src/modules/pipeline/rules/task-control.js';
import { TaskExecution } from '../../src/modules/pipeline/run/task-execution.js';
import { Lease } from '../../src/modules/pipeline/store/lease.js';
import type { LoadedTask, StageHistoryRecord } from '../../src/modules/pipeline/store/loaded-tasks.repository.js';
import type { PodRole } from '../../src/modules/pods/roles.js';
import { podSnapshot } from './pods.js';

/** A task that was just claimed for the first time, in a pod without agents. */
export function loadedTask(changes: Partial<LoadedTask> = {}): LoadedTask {
  return {
    id: '0190a000-0000-7000-8000-000000000001',
    owner: 'admin',
    ancestors: [],
    status: 'task_running',
    epoch: 1,
    version: 2,
    control: initialControl(null),
    maxRetries: 2,
    inputTokens: 0,
    outputTokens: 0,
    costUsd: 0,
    grantedUsd: 0,
    promisedUsd: 0,
    executionMs: 0,
    userInput: 'work',
    metadata: {},
    pod: podSnapshot([]),
    stages: [],
    findings: [],
    journals: new Map(),
    gate: null,
    ...changes,
  };
}

/** The first attempt of a stage, under way. */
export function runningStage(role: PodRole, changes: Partial<StageHistoryRecord> = {}): StageHistoryRecord {
  return {
    id: `${role} stage`,
    role,
    position: 1,
    iteration: 1,
    attempt: 1,
    status: 'running',
    output: null,
    error: null,
    errorCode: null,
    ...changes,
  };
}

/** A worker's stay with `task`, without a database: every commit holds. */
export function executionOf(task: LoadedTask): TaskExecution {
  const lease = new Lease(task.id, 1, task.epoch, task.version);
  return new TaskExecution(task, lease, { commit: async () => true }, () => 0);
}
