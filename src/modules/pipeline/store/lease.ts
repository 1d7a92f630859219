/** Why work stops without having ended. */
export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError';
}

/** The worker is shutting down; the stage goes on elsewhere. */
export class DrainingError extends Error {
  override readonly name = 'DrainingError';
}

/**
 * One worker's right to one task. Every write of a runner takes it: `epoch` is the fencing token, `version` makes each transition
 * apply at most once. `signal` aborts when the right is gone (`LeaseLostError`) or is about to be given back
 * (`DrainingError`); whoever works under it stops model calls and tools then.
 */
export class Lease {
  private readonly controller = new AbortController();

  constructor(
    readonly taskId: string,
    readonly owner: number,
    readonly epoch: number,
    /** The task's version after the last transition this worker made. */
    public version: number,
    /** Whether a worker died in the stage that the task is in. */
    public crashed = false,
  ) {}

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** The right is gone: nothing may be written any more. */
  lose(reason: string): void {
    this.controller.abort(new LeaseLostError(reason));
  }

  /** Asks the holder to stop and give the task back. */
  drain(): void {
    this.controller.abort(new DrainingError('The worker is shutting down.'));
  }

  get lost(): boolean {
    return this.signal.reason instanceof LeaseLostError;
  }
}
