import { Clock } from '../../../src/platform/clock/clock.js';
import type { Database } from '../../../src/platform/database/index.js';
import { TaskBell } from '../../../src/platform/redis/index.js';
import type { AgentSnapshot, PodSnapshot } from '../../../src/modules/pods/index.js';
import type { Transition } from '../../../src/modules/pipeline/store/transition.js';
import { initialControl } from '../../../src/modules/pipeline/rules/task-control.js';
import { TaskEventPublisher, type PublishedEvent } from '../../../src/modules/pipeline/store/task-event-publisher.js';
import { TransitionsRepository } from '../../../src/modules/pipeline/store/transitions.repository.js';
import { TaskQueueRepository, type ClaimedTask } from '../../../src/modules/pipeline/store/task-queue.repository.js';
import type { Role } from '../../../src/modules/pipeline/rules/task-status.js';
import { WorkersRepository } from '../../../src/modules/pipeline/store/workers.repository.js';

export const POD: PodSnapshot = {
  id: '00000000-0000-7000-8000-000000000001',
  name: 'Quartet',
  defaultModel: null,
  maxCostUsd: null,
  maxExecutionSeconds: 1800,
  reviewBy: 'owner',
  network: 'off',
  requireHumanReview: 'on_escalation',
  escalationThreshold: 'medium',
  sandbox: 'workspace',
  agents: [],
};

/** An agent without tools. */
export function agentOf(role: Role, position: number, changes: Partial<AgentSnapshot> = {}): AgentSnapshot {
  return {
    id: role,
    name: role,
    role,
    position,
    parallelGroup: null,
    model: null,
    fallbackModels: [],
    temperature: 0,
    maxTokens: 1,
    timeoutSeconds: 60,
    maxRetries: 0,
    systemPrompt: null,
    allowedTools: [],
    onFailure: 'escalate',
    runCondition: null,
    artifactType: null,
    ...changes,
  };
}

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
  return {
    clock,
    bus,
    queue,
    moves: new TransitionsRepository(database, clock, new TaskEventPublisher(bus)),
    workers: new WorkersRepository(database),
    submit: async (owner = 'admin', priority = 5, podId = POD.id): Promise<string> => {
      const id = clock.newId();
      await queue.insert({
        id,
        owner,
        pod: { ...POD, id: podId },
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
export function progress(task: ClaimedTask, changes: Partial<Transition> = {}): Transition {
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
