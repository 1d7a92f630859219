import { setTimeout as delay } from 'node:timers/promises';

/** Waits until `look` returns something true and gives it back; the deadline is for a service that never gets there. */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const found = await look();
    if (found !== false && found !== null && found !== undefined) return found as Exclude<T, false | null | undefined>;
    if (performance.now() > deadline) throw new Error(`It never came that ${what}`);
    await delay(10);
  }
}
