import { RateLimiterMemory, type RateLimiterAbstract, type RateLimiterRes } from 'rate-limiter-flexible';
import { RateLimiter, type RateLimitVerdict } from './ports.js';
import { verdictAfterTaking, type Window } from './rate-limit-verdict.js';

const MAX_KEYS = 50_000;

/**
 * The library is asked only to count: with this many points it never refuses, and one limiter serves every limit, also a
 * limit that changes within a window.
 */
export const COUNT_ONLY = { points: Number.MAX_SAFE_INTEGER, duration: 60 } as const;

/** Counters in memory; past 50,000 keys the oldest are forgotten, so that invented addresses cannot fill it. */
export class BoundedMemoryLimiter extends RateLimiterMemory {
  private readonly tracked = new Set<string>();

  override consume(
    key: string | number,
    points?: number,
    options?: { [key: string]: unknown },
  ): Promise<RateLimiterRes> {
    const name = String(key);
    if (!this.tracked.has(name) && this.tracked.size >= MAX_KEYS) {
      for (const oldest of this.tracked) {
        this.tracked.delete(oldest);
        void this.delete(oldest);
        break;
      }
    }
    this.tracked.add(name);
    return super.consume(key, points, options);
  }

  /** Forgets every counter. */
  clear(): void {
    for (const key of this.tracked) void this.delete(key);
    this.tracked.clear();
  }
}

/** The port over one of the library's limiters, which only counts. */
export class CountingRateLimiter extends RateLimiter {
  constructor(private readonly counters: RateLimiterAbstract) {
    super();
  }

  async take(key: string, limit: number, windowSeconds: number): Promise<RateLimitVerdict> {
    const seconds = wholeWindow(windowSeconds);
    const found = await this.counters.consume(counterName(key, seconds), 1, { customDuration: seconds });
    return verdictAfterTaking(asWindow(found), limit);
  }
}

/** Counts in this process. */
export class InProcessRateLimiter extends CountingRateLimiter {
  private readonly memory: BoundedMemoryLimiter;

  constructor() {
    const memory = new BoundedMemoryLimiter(COUNT_ONLY);
    super(memory);
    this.memory = memory;
  }

  /** Forgets every counter. */
  clear(): void {
    this.memory.clear();
  }
}

function wholeWindow(windowSeconds: number): number {
  return Math.max(Math.round(windowSeconds), 1);
}

function counterName(key: string, windowSeconds: number): string {
  return `${windowSeconds}:${key}`;
}

function asWindow(found: RateLimiterRes): Window {
  // A counter of another type reads as NaN; the next `take` replaces it.
  return { consumed: found.consumedPoints || 0, leftMs: found.msBeforeNext || 0 };
}
