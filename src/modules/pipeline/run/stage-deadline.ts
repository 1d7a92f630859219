import type { TaskExecution } from './task-execution.js';

class StageTimeoutError extends Error {
  override readonly name = 'StageTimeoutError';
}

class ExecutionLimitError extends Error {
  override readonly name = 'ExecutionLimitError';
}

/** Aborts a stage at its own time-out, at the task's limit for time inside stages, and with its lease. */
export class StageDeadline {
  private readonly timers: NodeJS.Timeout[];
  /** Aborts with the reason of whichever end comes first. */
  readonly signal: AbortSignal;

  constructor(execution: TaskExecution, timeoutSeconds: number) {
    const limitSeconds = execution.task.pod.maxExecutionSeconds;
    const leftMs = Math.max(limitSeconds * 1_000 - execution.executionMs, 0);
    const controller = new AbortController();
    this.timers = [
      setTimeout(
        () => controller.abort(new StageTimeoutError(`The stage took longer than ${timeoutSeconds} s.`)),
        timeoutSeconds * 1_000,
      ),
      setTimeout(
        () => controller.abort(new ExecutionLimitError(`The task spent its ${limitSeconds} s inside stages.`)),
        leftMs,
      ),
    ];
    this.signal = AbortSignal.any([execution.lease.signal, controller.signal]);
  }

  clear(): void {
    for (const timer of this.timers) clearTimeout(timer);
  }

  static isStageTimeout(error: unknown): error is Error {
    return error instanceof StageTimeoutError;
  }

  static isExecutionLimit(error: unknown): error is Error {
    return error instanceof ExecutionLimitError;
  }
}
