import type { IncomingHttpHeaders } from 'node:http';
import { Injectable } from '@nestjs/common';
import { DomainError } from '../../platform/errors/index.js';
import { RateLimiter } from '../../platform/redis/index.js';
import { AdminSecret } from './admin-secret.js';
import { hashApiKey, isWellFormedApiKey } from './api-key.js';
import type { KeyVerdict } from './api-keys.repository.js';
import { KeyCache } from './key-cache.js';
import { KeyUses } from './key-uses.js';

/** Wrong credentials that one network may present in a minute before it is told to wait. */
const FAILURES_PER_MINUTE = 20;

/** The credentials of a request, as far as they could be proven. */
export interface Proof {
  readonly admin: 'proven' | 'wrong' | 'absent';
  /** The key, or null when none was presented. A key that was presented and is not usable never gets here. */
  readonly key: KeyVerdict | null;
  /** Whether that key works at the moment of the call. */
  readonly stillUsable: () => Promise<boolean>;
}

/**
 * Checks the credentials of requests. Every presented key is checked, also where none is needed: a caller whose key was
 * revoked must not go on as somebody else.
 */
@Injectable()
export class Authenticator {
  constructor(
    private readonly keys: KeyCache,
    private readonly uses: KeyUses,
    private readonly adminSecret: AdminSecret,
    private readonly limiter: RateLimiter,
  ) {}

  /**
   * @param network who counts the failures, as `networkOf` names it.
   * Each wrong credential is counted, whatever stands beside it.
   * @throws DomainError `unauthenticated` for a key that is not usable, `rate_limited` for any wrong credential when its
   * network has presented too many; `dependency_unavailable` when the key cannot be looked up.
   */
  async prove(headers: IncomingHttpHeaders, network: string): Promise<Proof> {
    const admin = this.adminState(headers);
    if (admin === 'wrong') await this.countFailure(network);
    const presented = presentedKeys(headers);
    const [first = ''] = presented;
    const key = presented.length === 1 ? await this.usableKey(first) : null;
    if (presented.length > 0 && key === null) {
      await this.countFailure(network);
      throw new DomainError('unauthenticated', 'The API key is unknown, revoked or expired.');
    }
    if (key !== null) this.uses.note(key.id);
    return { admin, key, stillUsable: async () => (await this.usableKey(first)) !== null };
  }

  /** Counts a wrong credential against `network`. @throws DomainError `rate_limited` past the limit. */
  private async countFailure(network: string): Promise<void> {
    const verdict = await this.limiter.take(`auth-failures:${network}`, FAILURES_PER_MINUTE, 60);
    if (verdict.allowed) return;
    throw new DomainError('rate_limited', 'Too many wrong credentials came from this address; try again later.', {
      retryAfterSeconds: verdict.resetSeconds,
    });
  }

  private async usableKey(key: string): Promise<KeyVerdict | null> {
    return isWellFormedApiKey(key) ? this.keys.find(hashApiKey(key)) : null;
  }

  private adminState(headers: IncomingHttpHeaders): Proof['admin'] {
    const presented = headers['x-admin-secret'];
    if (typeof presented !== 'string' || presented === '') return 'absent';
    return this.adminSecret.matches(presented) ? 'proven' : 'wrong';
  }
}

/** The distinct keys in the headers. Two different ones cannot both be the caller's, so neither is taken. */
function presentedKeys(headers: IncomingHttpHeaders): string[] {
  const [, bearer] = /^bearer +(\S.*)$/i.exec(headers.authorization ?? '') ?? [];
  const own = headers['x-api-key'];
  return [...new Set([own, bearer].filter((key): key is string => typeof key === 'string' && key !== ''))];
}
