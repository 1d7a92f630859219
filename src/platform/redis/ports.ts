/**
 * The shared short-lived state of the service. Each port has a Redis adapter and an in-process adapter, and one contract
 * suite runs against both. Nothing here is the truth: all of it can vanish at any moment, and every call may find the
 * server gone. Methods that tell nothing useful when it is gone resolve with the documented neutral value and never hang
 * longer than one second.
 */

/** The queue's doorbell: wakes workers, holds no work. */
export abstract class TaskBell {
  /** Announces that `ids` are due. A bell that fails is ignored: polling finds the work. */
  abstract ring(ids: readonly string[]): Promise<void>;
  /** Waits for a ring, `timeoutMs` or `signal`; true when it rang. Rings that came before the call count. */
  abstract wait(timeoutMs: number, signal: AbortSignal): Promise<boolean>;
}

/** Messages to every process that listens now. At most once, unordered between channels. */
export abstract class EventBus {
  /** Sends `message` (JSON) to the present subscribers of `channel`, those of this process too. */
  abstract publish(channel: string, message: unknown): Promise<void>;
  /** Calls `listener` for each message until the returned function is called. Survives reconnects. */
  abstract subscribe(channel: string, listener: (message: unknown) => void): () => void;
  /** Whether messages of other processes arrive at this moment; while false, readers poll. */
  abstract get connected(): boolean;
}

/** Values with an expiry. */
export abstract class LiveState {
  /** The value, or null when absent, expired, of another type, or the server is gone. */
  abstract get(key: string): Promise<string | null>;
  /** Stores `value` for `ttlMs`. */
  abstract set(key: string, value: string, ttlMs: number): Promise<void>;
  /**
   * Stores `value` only if the key is absent; true when it did.
   * @throws DomainError `dependency_unavailable` when the server is gone: a lock must not be assumed.
   */
  abstract acquire(key: string, value: string, ttlMs: number): Promise<boolean>;
  /** Extends the key by `ttlMs` if it still holds `value`; false when it does not or the server is gone. */
  abstract renew(key: string, value: string, ttlMs: number): Promise<boolean>;
  /** Deletes the key if it still holds `value`, or in any case when `value` is absent. */
  abstract release(key: string, value?: string): Promise<void>;
}

/** Live agent records, JSON by id. A copy: PostgreSQL has every agent too. */
export abstract class AgentStore {
  /** The record, or null when absent, unreadable or the server is gone. */
  abstract get(id: string): Promise<unknown>;
  abstract put(id: string, record: unknown): Promise<void>;
  abstract remove(id: string): Promise<void>;
  /** All records by id; null when the server is gone or was emptied since the last `markComplete`. */
  abstract all(): Promise<Map<string, unknown> | null>;
  /** Notes that the store now holds every agent. */
  abstract markComplete(): Promise<void>;
}

/** What is left of a caller's allowance. */
export interface RateLimitVerdict {
  allowed: boolean;
  limit: number;
  remaining: number;
  /** Seconds until the window is full again. */
  resetSeconds: number;
}

/** Fixed-window counters shared by all processes; while the server is gone, each process counts on its own. */
export abstract class RateLimiter {
  /** Takes one point of `limit` per `windowSeconds` from `key`. */
  abstract take(key: string, limit: number, windowSeconds: number): Promise<RateLimitVerdict>;
  /** Looks without taking. */
  abstract peek(key: string, limit: number, windowSeconds: number): Promise<RateLimitVerdict>;
}

/** Whether the shared state can be reached, for readiness. */
export abstract class LiveStateHealth {
  /** Null while it answers; else since when it does not (monotonic milliseconds) and why, without secrets. */
  abstract outage(): { sinceMs: number; reason: string } | null;
  /** `redis` or `in-process`. */
  abstract get kind(): 'redis' | 'in-process';
}
