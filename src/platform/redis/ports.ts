/**
 * The shared short-lived state of the service. Each port has a Redis adapter and an in-process adapter, and one contract
 * suite runs against both. Nothing here is the truth: all of it can vanish at any moment, and every call may find the
 * server gone. Methods that tell nothing useful when it is gone resolve with the documented neutral value and never hang
 * longer than about one second. Keys and channels are named without the `nova:` that every name on the server starts with.
 */

/** The queue's doorbell: wakes workers, holds no work. */
export abstract class TaskBell {
  /**
   * Announces that `ids` are due: wakes as many waiters as there are ids, those of this process first. A bell that fails is
   * ignored: polling finds the work.
   */
  abstract ring(ids: readonly string[]): Promise<void>;
  /**
   * Waits for a ring, `timeoutMs` or `signal`; true when it rang. Rings that came before the call count, but of several
   * unheard ones some are forgotten at each hearing: who waits has just found nothing due. Never rejects.
   */
  abstract wait(timeoutMs: number, signal: AbortSignal): Promise<boolean>;
}

/** Messages to every process that listens now. At most once, unordered between channels. */
export abstract class EventBus {
  /**
   * Sends `message` (JSON, at most 1 MiB, a longer one is dropped) to the present subscribers of `channel`. Those of this
   * process get it even when the server is gone.
   */
  abstract publish(channel: string, message: unknown): Promise<void>;
  /**
   * Calls `listener` for each message until the returned function is called. Survives reconnects. Listeners share the
   * message and leave it unchanged; what they throw is logged.
   *
   * `onLive` is called each time messages of other processes begin to arrive, at first and after a reconnect: whoever reads
   * a log looks there once more for what came in the gap.
   */
  abstract subscribe(channel: string, listener: (message: unknown) => void, onLive?: () => void): () => void;
  /** Whether messages of other processes arrive at this moment on every channel; while false, readers poll. */
  abstract get connected(): boolean;
}

/** Values with an expiry. */
export abstract class LiveState {
  /** The value, or null when absent, expired, of another type, or the server is gone. */
  abstract get(key: string): Promise<string | null>;
  /** Stores `value` for `ttlMs`. */
  abstract set(key: string, value: string, ttlMs: number): Promise<void>;
  /** Deletes the key if it still holds `value`. */
  abstract release(key: string, value: string): Promise<void>;
}

/**
 * Live agent records, JSON by id. A copy: PostgreSQL has every agent too. Whoever gets null from `all` reads PostgreSQL,
 * puts every agent and then calls `markComplete`. A copy that may have missed a write drops out by itself.
 */
export abstract class AgentStore {
  /** The record, or null when absent, unreadable or the server is gone. */
  abstract get(id: string): Promise<unknown>;
  abstract put(id: string, record: unknown): Promise<void>;
  abstract remove(id: string): Promise<void>;
  /** All records by id; null when the server is gone or does not surely hold every agent. */
  abstract all(): Promise<Map<string, unknown> | null>;
  /** Notes that `ids` are all the agents there are. Does nothing if the store lacks one of them, so a wipe in between is safe. */
  abstract markComplete(ids: Iterable<string>): Promise<void>;
}

/** What is left of a caller's allowance. */
export interface RateLimitVerdict {
  allowed: boolean;
  limit: number;
  remaining: number;
  /** Seconds until the window is full again; 0 when it is. */
  resetSeconds: number;
}

/** Fixed-window counters shared by all processes; while the server is gone, each process counts on its own. */
export abstract class RateLimiter {
  /** Takes one point of `limit` per `windowSeconds` from `key`. The counter belongs to the key and the window together. */
  abstract take(key: string, limit: number, windowSeconds: number): Promise<RateLimitVerdict>;
}

/** Whether the shared state can be reached, for readiness. */
export abstract class LiveStateHealth {
  /**
   * Null while it answers; else the moment of its last answer (monotonic milliseconds, `-Infinity` when there was none yet)
   * and why, without secrets.
   */
  abstract outage(): { sinceMs: number; reason: string } | null;
  /** `redis` or `in-process`. */
  abstract get kind(): 'redis' | 'in-process';
}
