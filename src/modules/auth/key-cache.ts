import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { Clock } from '../../platform/clock/index.js';
import { EventBus } from '../../platform/redis/index.js';
import { ApiKeysRepository, type KeyVerdict } from './api-keys.repository.js';

/** A revocation must hold everywhere within 5 s even when no message arrives; a look-up under way may add to this. */
const FRESH_MS = 3_000;
const MOST_KEYS = 10_000;
/** Tells every process that a key was revoked: its id. */
export const KEYS_REVOKED_CHANNEL = 'keys:revoked';

interface Known {
  readonly verdict: KeyVerdict;
  readonly readAtMs: number;
}

/**
 * Keys that were looked up a moment ago. Unknown keys are not kept: guesses must not push real ones out. A revocation is
 * told to every process; one whose message is lost notices when its copy is no longer fresh.
 */
@Injectable()
export class KeyCache implements OnModuleDestroy {
  private readonly logger = new Logger('Auth');
  private readonly known = new Map<string, Known>();
  private readonly pending = new Map<string, Promise<KeyVerdict | null>>();
  private readonly unsubscribe: () => void;
  /** Rises with each revocation: an answer that was read before one is not kept after it. */
  private revocations = 0;

  constructor(
    private readonly keys: ApiKeysRepository,
    private readonly clock: Clock,
    private readonly bus: EventBus,
  ) {
    this.unsubscribe = bus.subscribe(
      KEYS_REVOKED_CHANNEL,
      (message) => this.forget(String(message)),
      () => this.forgetAll(),
    );
  }

  onModuleDestroy(): void {
    this.unsubscribe();
  }

  /** The usable key of this digest, or null: unknown, revoked, expired. */
  async find(keyHash: string): Promise<KeyVerdict | null> {
    const known = this.known.get(keyHash);
    const ageMs = known === undefined ? Infinity : this.clock.monotonicMs() - known.readAtMs;
    if (known !== undefined && ageMs <= FRESH_MS) return usable(known.verdict, ageMs);
    this.known.delete(keyHash);
    return this.pending.get(keyHash) ?? this.lookUp(keyHash);
  }

  /** Makes a committed revocation known here at once, and to the other processes as fast as a message travels. */
  async announceRevocation(keyId: string): Promise<void> {
    this.forget(keyId);
    try {
      await this.bus.publish(KEYS_REVOKED_CHANNEL, keyId);
    } catch (error) {
      this.logger.warn({
        message: 'A revocation could not be announced; other processes notice within seconds',
        error,
      });
    }
  }

  private lookUp(keyHash: string): Promise<KeyVerdict | null> {
    const { revocations } = this;
    const readAtMs = this.clock.monotonicMs();
    const answer = this.keys
      .findByHash(keyHash)
      .then((verdict) => {
        if (verdict === null) return null;
        if (revocations === this.revocations) this.remember(keyHash, { verdict, readAtMs });
        return usable(verdict, 0);
      })
      .finally(() => {
        if (this.pending.get(keyHash) === answer) this.pending.delete(keyHash);
      });
    this.pending.set(keyHash, answer);
    return answer;
  }

  private remember(keyHash: string, known: Known): void {
    this.known.set(keyHash, known);
    for (const oldest of this.known.keys()) {
      if (this.known.size <= MOST_KEYS) break;
      this.known.delete(oldest);
    }
  }

  /** Messages may have been missed until now. */
  private forgetAll(): void {
    this.revocations += 1;
    this.pending.clear();
    this.known.clear();
  }

  private forget(keyId: string): void {
    this.revocations += 1;
    this.pending.clear();
    for (const [hash, { verdict }] of this.known) if (verdict.id === keyId) this.known.delete(hash);
  }
}

function usable(verdict: KeyVerdict, ageMs: number): KeyVerdict | null {
  const expired = verdict.expiresInMs !== null && verdict.expiresInMs <= ageMs;
  return verdict.isActive && !expired ? verdict : null;
}
