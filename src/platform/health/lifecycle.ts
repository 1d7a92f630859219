import { Injectable } from '@nestjs/common';

/** Where the process is between its start and its end. Readiness, the request hooks and long work look at it. */
@Injectable()
export class Lifecycle {
  private readonly drain = new AbortController();
  private readonly haste = new AbortController();

  /** Aborted by the first signal: take no new work; what runs has `SHUTDOWN_GRACE_SECONDS`. */
  readonly drainSignal: AbortSignal = this.drain.signal;
  /** Aborted by the second signal: give everything back now. */
  readonly hasteSignal: AbortSignal = this.haste.signal;

  get draining(): boolean {
    return this.drain.signal.aborted;
  }

  beginDrain(): void {
    this.drain.abort(new Error('the service is shutting down'));
  }

  hurry(): void {
    this.beginDrain();
    this.haste.abort(new Error('the service is shutting down at once'));
  }
}
