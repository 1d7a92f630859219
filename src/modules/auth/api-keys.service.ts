import { Injectable } from '@nestjs/common';
import { Clock } from '../../platform/clock/index.js';
import { DomainError } from '../../platform/errors/index.js';
import { pageOf, type Page, type PageRequest } from '../../platform/paging/index.js';
import { generateApiKey, hashApiKey, prefixOfApiKey } from './api-key.js';
import { ApiKeysRepository, type ApiKey } from './api-keys.repository.js';
import { KeyCache } from './key-cache.js';
import { KeyUses } from './key-uses.js';

/** Settings of a new key. */
export interface NewApiKey {
  readonly name: string;
  readonly rateLimitRpm: number | null;
  readonly expiresAt: Date | null;
  readonly metadata: Record<string, unknown>;
}

@Injectable()
export class ApiKeysService {
  constructor(
    private readonly keys: ApiKeysRepository,
    private readonly cache: KeyCache,
    private readonly uses: KeyUses,
    private readonly clock: Clock,
  ) {}

  /** Makes a key. `rawKey` exists nowhere else. @throws DomainError `validation_failed` when it would have expired already. */
  async create(wanted: NewApiKey): Promise<{ key: ApiKey; rawKey: string }> {
    const rawKey = generateApiKey();
    const key = await this.keys.insert({
      ...wanted,
      id: this.clock.newId(),
      keyHash: hashApiKey(rawKey),
      keyPrefix: prefixOfApiKey(rawKey),
    });
    if (key === null) throw DomainError.invalid('#/expires_at', 'expires_at must lie in the future.');
    return { key, rawKey };
  }

  /** Newest first, revoked ones too. */
  async list(page: PageRequest, isActive: boolean | null): Promise<Page<ApiKey>> {
    await this.uses.flush();
    const rows = await this.keys.page(page, isActive);
    return pageOf(
      rows,
      page.limit,
      (row) => row.cursor,
      (row) => row.key,
    );
  }

  /**
   * Revokes a key: at once in this process, within 5 s in every other one.
   * @throws DomainError `not_found` when it is unknown or revoked already.
   */
  async revoke(id: string): Promise<void> {
    if (!(await this.keys.revoke(id))) throw DomainError.notFound('active key', id);
    await this.cache.announceRevocation(id);
  }
}
