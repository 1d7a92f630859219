import type { Clock } from '../../../platform/clock/index.js';
import { isAway } from '../../../platform/database/index.js';

/** About half a minute in all; a lease's own fence usually ends it sooner. */
const ATTEMPTS = 20;

/**
 * Runs `work` until it succeeds or fails for another reason than an unavailable database; gives up after about half a minute
 * or when `signal` aborts, with the last error. `work` must be safe to run twice: the answer of the first may be lost.
 */
export async function retryUnavailable<T>(
  clock: Clock,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!isAway(error) || attempt >= ATTEMPTS || signal?.aborted) throw error;
    }
    await clock.sleep(Math.min(100 * 2 ** attempt, 2_000), signal);
  }
}
