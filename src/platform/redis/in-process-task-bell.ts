import { TaskBell } from './ports.js';

/** Unheard rings that are kept; polling finds the work of the others. */
export const MAX_RINGS = 9_999;

const MAX_DELAY_MS = 2 ** 31 - 1;

/** Whether `id` can be an id of ours; what else lies in the bell's list is ignored. */
export function isRing(id: unknown): id is string {
  return typeof id === 'string' && /^[\w-]{1,64}$/.test(id);
}

/**
 * How many of `rings` unheard rings remain after one was heard. Whoever hears one claims until nothing is due, which
 * answers the others too; forgetting half of them turns the 9,999 stale rings of a drained backlog into 14 vain claims,
 * while a few near-simultaneous rings still wake several workers.
 */
export function ringsAfterHearing(rings: number): number {
  return Math.floor(rings / 2);
}

/** The bell of one process: counts rings and wakes waiters, the longest waiting first. */
export class InProcessTaskBell extends TaskBell {
  private readonly waiters = new Set<(rang: boolean) => void>();
  private held = 0;

  async ring(ids: readonly string[]): Promise<void> {
    this.hold(this.wake(ids.filter(isRing).length));
  }

  /** How many callers wait now. */
  get waiting(): number {
    return this.waiters.size;
  }

  /** Wakes a waiter for each of `rings`; returns how many rings found none. */
  wake(rings: number): number {
    let left = rings;
    for (const settle of this.waiters) {
      if (left === 0) break;
      settle(true);
      left -= 1;
    }
    return left;
  }

  /** Keeps `rings` for the waits to come. */
  hold(rings: number): void {
    this.held = Math.min(this.held + rings, MAX_RINGS);
  }

  wait(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    if (this.held > 0) {
      this.held = ringsAfterHearing(this.held);
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const settle = (rang: boolean): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        this.waiters.delete(settle);
        resolve(rang);
      };
      const onAbort = (): void => settle(false);
      const timer = setTimeout(() => settle(false), Math.min(Math.max(timeoutMs, 0), MAX_DELAY_MS));
      signal.addEventListener('abort', onAbort, { once: true });
      this.waiters.add(settle);
    });
  }

  /** Forgets the rings that nobody heard. */
  clear(): void {
    this.held = 0;
  }

  /** Ends every wait as if its time were over. */
  stop(): void {
    for (const settle of this.waiters) settle(false);
  }
}
