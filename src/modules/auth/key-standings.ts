import { Injectable } from '@nestjs/common';
import { DomainError } from '../../platform/errors/index.js';
import { RateLimiter } from '../../platform/redis/index.js';
import { ApiKeysRepository } from './api-keys.repository.js';

const KEY_OWNER = /^key:([0-9a-f-]{36})$/;

/** Whether the work of `owner` counts against the bounds of an API key. */
export function isKeyOwner(owner: string): boolean {
  return KEY_OWNER.test(owner);
}

/** How the keys stand that own work which goes on without a request. */
@Injectable()
export class KeyStandings {
  constructor(
    private readonly keys: ApiKeysRepository,
    private readonly limiter: RateLimiter,
  ) {}

  /** Which of `owners` are keys that were revoked. One that has expired is none of them: its work may finish. */
  async revoked(owners: readonly string[]): Promise<Set<string>> {
    const ids = owners.flatMap((owner) => KEY_OWNER.exec(owner)?.[1] ?? []);
    if (ids.length === 0) return new Set();
    return new Set([...(await this.keys.revokedAmong(ids))].map((id) => `key:${id}`));
  }

  /**
   * Takes what the work of `owner` starts off its key's allowance of a minute, as a request of its own would be.
   * @throws DomainError `rate_limited` past the allowance, `forbidden` for a revoked key.
   */
  async charge(owner: string): Promise<void> {
    const id = KEY_OWNER.exec(owner)?.[1];
    if (id === undefined) return;
    const key = await this.keys.findAllowance(id);
    if (key === null) throw new DomainError('forbidden', 'The API key of this work was revoked.');
    if (key.rateLimitRpm === null) return;
    const verdict = await this.limiter.take(`key:${id}`, key.rateLimitRpm, 60);
    if (verdict.allowed) return;
    throw new DomainError('rate_limited', `This caller may make ${verdict.limit} requests a minute; try again later.`, {
      retryAfterSeconds: verdict.resetSeconds,
    });
  }
}
