import { setTimeout as delay } from 'node:timers/promises';

/**
 * Waits until `look` returns something true and gives it back, or throws what it throws; the deadline is for a service that
 * never gets there.
 */
export async function eventually<T>(
  what: string | (() => string),
  look: () => T | Promise<T>,
  deadlineMs = 60_000,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const found = await look();
    if (found !== false && found !== null && found !== undefined) return found as Exclude<T, false | null | undefined>;
    if (performance.now() > deadline) throw new Error(`It never came that ${typeof what === 'string' ? what : what()}`);
    await delay(10);
  }
}
