import type { Clock } from '../clock/index.js';
import { DomainError } from '../errors/index.js';

/** Whether `error` says that a server this service needs is away, so that the same may succeed later. */
export function isAway(error: unknown): boolean {
  return error instanceof DomainError && error.code === 'dependency_unavailable';
}

/**
 * The answer of `read`, asked again each `pauseMs` while the database is away; null when `signal` aborts before there is one.
 * @throws what `read` throws for another reason.
 */
export async function untilAnswered<T>(
  clock: Clock,
  pauseMs: number,
  signal: AbortSignal,
  read: () => Promise<T>,
): Promise<T | null> {
  for (;;) {
    try {
      return await read();
    } catch (error) {
      if (!isAway(error)) throw error;
      await clock.sleep(pauseMs, signal);
      if (signal.aborted) return null;
    }
  }
}
