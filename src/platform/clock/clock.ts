import { Injectable } from '@nestjs/common';
import { v7 } from 'uuid';

/** Time and ids, injectable so that tests own them. Durable deadlines are computed by PostgreSQL's clock instead. */
@Injectable()
export class Clock {
  now(): Date {
    return new Date();
  }

  /** Milliseconds that never go backwards; for measuring and for self-fencing. */
  monotonicMs(): number {
    return performance.now();
  }

  /** A new UUIDv7: sorts by time of creation. */
  newId(): string {
    return v7();
  }

  /** Resolves after `ms`, or as soon as `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done, { once: true });
    });
  }
}
