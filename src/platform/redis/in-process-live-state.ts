import { Clock } from '../clock/index.js';
import { LiveState } from './ports.js';

const MAX_TTL_MS = 10 * 365 * 86_400_000;

/** `ttlMs` as a server accepts it: whole milliseconds, at least one, at most ten years. */
export function wholeTtl(ttlMs: number): number {
  return Math.min(Math.max(Math.ceil(ttlMs) || 1, 1), MAX_TTL_MS);
}

interface Entry {
  readonly value: string;
  readonly expiresAt: number;
}

/** Values of one process. Expiry is looked at when a key is read, and for all keys each time their number has doubled. */
export class InProcessLiveState extends LiveState {
  private readonly entries = new Map<string, Entry>();
  private sweepAt = 1_024;

  constructor(private readonly clock: Clock = new Clock()) {
    super();
  }

  async get(key: string): Promise<string | null> {
    return this.read(key);
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    const now = this.clock.monotonicMs();
    this.entries.set(key, { value, expiresAt: now + wholeTtl(ttlMs) });
    if (this.entries.size < this.sweepAt) return;
    for (const [other, entry] of this.entries) if (entry.expiresAt <= now) this.entries.delete(other);
    this.sweepAt = Math.max(1_024, this.entries.size * 2);
  }

  async release(key: string, value: string): Promise<void> {
    if (this.read(key) === value) this.entries.delete(key);
  }

  /** Forgets every value. */
  clear(): void {
    this.entries.clear();
  }

  /** Entries in memory, expired ones among them. */
  get size(): number {
    return this.entries.size;
  }

  private read(key: string): string | null {
    const entry = this.entries.get(key);
    if (entry === undefined) return null;
    if (entry.expiresAt > this.clock.monotonicMs()) return entry.value;
    this.entries.delete(key);
    return null;
  }
}
