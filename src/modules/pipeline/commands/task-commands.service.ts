import { Injectable } from '@nestjs/common';
import { AppConfig } from '../../../config/index.js';
import { DomainError } from '../../../platform/errors/index.js';
import { TaskBell } from '../../../platform/redis/index.js';
import { ownerOf, visibleOwners, type Principal } from '../../auth/index.js';
import { firstStatus } from '../rules/next.js';
import { enter } from '../rules/plan.js';
import { situationOf, taskStepOf } from '../rules/situation.js';
import { stageKey, type TaskControl } from '../rules/task-control.js';
import { TaskAdminRepository, type TaskHead } from '../store/task-admin.repository.js';
import { TransitionsRepository } from '../store/transitions.repository.js';
import { LoadedTasksRepository, type LoadedTask } from '../store/loaded-tasks.repository.js';
import { TaskTrees } from '../run/task-trees.js';
import { isTerminal, type TaskStatus } from '../rules/task-status.js';
import type { TaskFilter } from '../store/task-filter.repository.js';

/** A running task moves on while a cancel looks at it; this many looks catch it. */
const CANCEL_ATTEMPTS = 100;
const DELETE_BATCH = 500;
/** Tasks below one that are cancelled with it at once; the periodic look gets the rest. */
const MOST_CHILDREN = 1_000;

/** Why a task is cancelled, as its error, and by whom, as in `owner` columns. */
export interface CancelReason {
  readonly code: string;
  readonly message: string;
  readonly by: string;
}

/**
 * Commands on tasks that are there already. A task that the principal may not see does not exist for it (`not_found`).
 */
@Injectable()
export class TaskCommandsService {
  constructor(
    private readonly config: AppConfig,
    private readonly admin: TaskAdminRepository,
    private readonly tasks: LoadedTasksRepository,
    private readonly transitions: TransitionsRepository,
    private readonly trees: TaskTrees,
    private readonly bell: TaskBell,
  ) {}

  /**
   * Cancels a task in any non-terminal state, stops its work, and cancels the tasks that its tools led to.
   * @throws DomainError not_found, task_terminal.
   */
  async cancel(principal: Principal, taskId: string): Promise<void> {
    const reason = { code: 'cancelled', message: 'The task was cancelled.', by: ownerOf(principal) };
    const ended = await this.cancelNow(() => this.getVisible(principal, taskId), reason);
    if (ended !== null) throw new DomainError('task_terminal', `The task is ${ended} already.`);
    for (const child of await this.admin.findUnfinishedBelow(taskId, MOST_CHILDREN)) {
      await this.cancelFor(child, {
        code: 'parent_cancelled',
        message: 'The work that started the task was cancelled.',
        by: reason.by,
      });
    }
  }

  /** Cancels a task for a `reason` of the service's own; false when it has ended or is gone. */
  async cancelFor(taskId: string, reason: CancelReason): Promise<boolean> {
    try {
      return (await this.cancelNow(() => this.admin.findHead(taskId), reason)) === null;
    } catch (error) {
      if (error instanceof DomainError && ['not_found', 'conflict'].includes(error.code)) return false;
      throw error;
    }
  }

  /** Cancels the task that `find` finds; the status that it had ended with instead, null when it was cancelled. */
  private async cancelNow(find: () => Promise<TaskHead | null>, reason: CancelReason): Promise<TaskStatus | null> {
    const { code, message, by } = reason;
    for (let attempt = 1; attempt <= CANCEL_ATTEMPTS; attempt += 1) {
      const task = await find();
      if (task === null) throw new DomainError('not_found', 'There is no such task.');
      if (isTerminal(task.status)) return task.status;
      const applied = await this.transitions.commit({
        task_id: task.id,
        from: task.status,
        to: 'cancelled',
        guard: { epoch: task.epoch, version: task.version },
        raise_epoch: true,
        control: task.control,
        suspect: false,
        error: { code, message },
        end_running_stages: { status: 'cancelled', error_code: code, error: message },
        ...(task.gateId === null
          ? {}
          : {
              decide_gate: {
                id: task.gateId,
                decision: 'cancel' as const,
                decided_by: by,
                comment: null,
              },
            }),
        events: [{ type: 'task.finished', data: { status: 'cancelled', code } }],
      });
      if (!applied) continue;
      await this.trees.drop(task, 'cancelled');
      return null;
    }
    throw new DomainError('conflict', 'The task moved on too fast to be cancelled; try again.');
  }

  /** Deletes a task that has ended. @throws DomainError not_found, task_not_terminal. */
  async delete(principal: Principal, taskId: string): Promise<void> {
    const task = await this.getVisible(principal, taskId);
    if (!isTerminal(task.status) || !(await this.admin.deleteEndedTask(taskId))) {
      throw new DomainError('task_not_terminal', `The task is ${task.status}; only ended tasks can be deleted.`);
    }
  }

  /** Deletes every ended task that `filter` names, whoever owns it; returns how many. */
  async deleteEnded(filter: TaskFilter): Promise<number> {
    let total = 0;
    for (;;) {
      const deleted = await this.admin.deleteEnded(filter, DELETE_BATCH);
      total += deleted;
      if (deleted < DELETE_BATCH) return total;
    }
  }

  /** Puts a dead letter back into the queue with its checkpoint. @throws DomainError not_found, not_a_dead_letter. */
  async requeue(taskId: string): Promise<{ status: TaskStatus }> {
    const task = await this.tasks.find(taskId);
    if (task === null) throw DomainError.notFound('task', taskId);
    const isDead = task.status === 'failed' && (await this.admin.isDeadLetter(taskId));
    // What the life that failed has published must not be there when the next one copies the workspace.
    if (isDead) await this.trees.drop(task, task.status);
    const applied =
      isDead &&
      (await this.transitions.commit({
        task_id: taskId,
        from: 'failed',
        to: 'queued',
        guard: { epoch: task.epoch, version: task.version },
        raise_epoch: true,
        revive: true,
        suspect: false,
        stage_crashes: 0,
        error: null,
        ...revival(task),
        events: [{ type: 'task.retried', data: { reason: 'requeued' } }],
      }));
    if (!applied) throw new DomainError('not_a_dead_letter', 'The task is not a dead letter.');
    await this.bell.ring([taskId]);
    return { status: 'queued' };
  }

  /** Discards the dead letter; the failed task stays. @throws DomainError not_found. */
  async discardDeadLetter(taskId: string): Promise<void> {
    if (!(await this.admin.deleteDeadLetter(taskId))) throw DomainError.notFound('dead letter', taskId);
  }

  private async getVisible(principal: Principal, taskId: string): Promise<TaskHead> {
    const task = await this.admin.findHead(taskId);
    const owners = visibleOwners(principal, this.config.auth.required);
    if (task === null || (owners !== null && !owners.includes(task.owner))) throw DomainError.notFound('task', taskId);
    return task;
  }
}

/**
 * Where a dead letter goes on: in a new life, at its first unfinished stage, with retries and waiting counted anew. A task that
 * had changed files, whose work tree is gone, and one that has no unfinished stage go back to the task stage, as a further
 * iteration.
 */
function revival(task: LoadedTask): {
  control: TaskControl;
  queue: { next_status: TaskStatus; delay_ms: number };
} {
  const taskStep = taskStepOf(task.pod);
  const allowedAttempts: TaskControl['allowedAttempts'] = {};
  for (const stage of task.stages) {
    if (stage.status === 'failed') allowedAttempts[stageKey(stage.role, stage.iteration)] = stage.attempt + 1;
  }
  const control: TaskControl = {
    ...task.control,
    retries: {},
    providerWaitMs: 0,
    machinePauses: 0,
    allowedAttempts,
    life: task.epoch + 1,
  };
  const atTask: TaskControl = {
    ...control,
    step: taskStep,
    iteration: control.iteration + 1,
    diffHash: null,
    flags: { guardrailBlocked: false, codeReviewRejected: false },
  };
  const kept = enter({ ...situationOf(task), control });
  // Without an unfinished stage the task would only meet the gate again that it failed at.
  const again = taskStep >= 0 && (control.diffHash !== null || kept.kind !== 'run');
  const next = again ? enter({ ...situationOf(task), control: atTask }) : kept;
  return {
    control: again ? atTask : control,
    queue: {
      next_status: firstStatus(task.pod, next),
      delay_ms: 0,
    },
  };
}
