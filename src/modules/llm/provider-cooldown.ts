import { Injectable } from '@nestjs/common';
import { Clock } from '../../platform/clock/index.js';
import { LiveState } from '../../platform/redis/index.js';

/** Nobody waits longer than this for a provider, whatever it asks for. */
const LONGEST_MS = 5 * 60_000;
const SHORTEST_MS = 1_000;
const FIRST_BACKOFF_MS = 2_000;
/** How long a cool-down is remembered after its end, so that the next one can be longer. */
const MEMORY_MS = 5 * 60_000;

interface CooldownRecord {
  /** Epoch milliseconds. */
  until: number;
  /** Cool-downs in a row. */
  failures: number;
}

/** What was known of a provider when a call to it began. */
export interface CooldownState {
  /** Epoch milliseconds until which the provider is left alone; null when it may be asked. */
  retryAt: number | null;
  record: CooldownRecord | null;
}

export const NEVER_COOLED: CooldownState = { retryAt: null, record: null };

/**
 * Which providers are overloaded. Kept in `LiveState` for all processes (`cooldown:<provider>`) and in this process's
 * memory, which is enough when the shared state is gone.
 */
@Injectable()
export class ProviderCooldown {
  private readonly local = new Map<string, CooldownRecord>();

  constructor(
    private readonly live: LiveState,
    private readonly clock: Clock,
  ) {}

  /** The providers that this process knows to be cooling. */
  coolingHere(): string[] {
    const now = this.clock.now().getTime();
    return [...this.local.keys()].filter((provider) => (this.known(provider, now)?.until ?? 0) > now);
  }

  /** To be asked before each call; its answer goes into `failed` or `succeeded` afterwards. */
  async look(provider: string): Promise<CooldownState> {
    const now = this.clock.now().getTime();
    const shared = parseRecord(await this.live.get(key(provider)), now);
    const local = this.known(provider, now);
    const record = !local || (shared && shared.until > local.until) ? shared : local;
    return { retryAt: record && record.until > now ? record.until : null, record };
  }

  /**
   * Cools `provider` for the milliseconds it asked for, else with exponential backoff and jitter. Calls that were in
   * flight together when the provider became overloaded count as one failure.
   * @returns epoch milliseconds of the end.
   */
  async failed(provider: string, seen: CooldownState, askedMs: number | null): Promise<number> {
    const now = this.clock.now().getTime();
    const { record: current } = await this.look(provider);
    const isNews = !current || current.until === seen.record?.until || current.until <= now;
    const failures = isNews ? (current?.failures ?? 0) + 1 : current.failures;
    const backoff = Math.min(LONGEST_MS, FIRST_BACKOFF_MS * 2 ** (failures - 1));
    const waitMs = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, askedMs ?? (backoff * (1 + Math.random())) / 2));
    const until = Math.round(Math.max(now + waitMs, isNews ? 0 : current.until));
    const record = { until, failures };
    this.local.set(provider, record);
    await this.live.set(key(provider), JSON.stringify(record), until - now + MEMORY_MS);
    return until;
  }

  /** What this process remembers; a wait that is longer than any was begun before the clock was put back, and is over. */
  private known(provider: string, now: number): CooldownRecord | null {
    const record = this.local.get(provider);
    return record === undefined || record.until > now + LONGEST_MS ? null : record;
  }

  /** Forgets the cool-downs that were over when the successful call began; one that came since stays. */
  async succeeded(provider: string, seen: CooldownState): Promise<void> {
    if (!seen.record) return;
    if (this.local.get(provider)?.until === seen.record.until) this.local.delete(provider);
    await this.live.release(key(provider), JSON.stringify(seen.record));
  }
}

function key(provider: string): string {
  return `nova:cooldown:${provider}`;
}

/** What another process wrote, within what this one would have written: its clock may be wrong, its text anything. */
function parseRecord(text: string | null, now: number): CooldownRecord | null {
  if (text === null || text.length > 200) return null;
  try {
    const { until, failures } = JSON.parse(text) as Partial<CooldownRecord>;
    if (typeof until !== 'number' || typeof failures !== 'number' || !Number.isFinite(until)) return null;
    return { until: Math.min(until, now + LONGEST_MS), failures: Math.min(20, Math.max(1, Math.trunc(failures) || 1)) };
  } catch {
    return null;
  }
}
