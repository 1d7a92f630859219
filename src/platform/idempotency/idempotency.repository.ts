import { Injectable } from '@nestjs/common';
import { Database, sql, type IdempotencyKeyRow } from '../database/index.js';
import { DomainError } from '../errors/index.js';

/** An `Idempotency-Key` of one caller on one route, with the hash of the body it came with. */
export interface IdempotencyClaim {
  owner: string;
  route: string;
  key: string;
  bodyHash: string;
}

/** Keys of requests that must not make their resource twice. */
@Injectable()
export class IdempotencyRepository {
  constructor(private readonly database: Database) {}

  /**
   * Binds the key to `resourceId`, or answers which resource it is bound to. Inside the transaction that makes the resource, a
   * second request with the key waits for the first one's outcome.
   * @throws DomainError idempotency_key_reused when the key came with another body.
   */
  async bind(claim: IdempotencyClaim, resourceId: string): Promise<{ resourceId: string; bound: boolean }> {
    const inserted = await this.database.query(
      'idempotencyKeys.insert',
      sql`
        insert into idempotency_keys (owner, route, key, body_hash, resource_id)
        values (${claim.owner}, ${claim.route}, ${claim.key}, ${claim.bodyHash}, ${resourceId})
        on conflict (owner, route, key) do nothing returning key`,
    );
    if (inserted.length > 0) return { resourceId, bound: true };
    const known = await this.database.one<Pick<IdempotencyKeyRow, 'body_hash' | 'resource_id'>>(
      'idempotencyKeys.find',
      sql`
        select body_hash, resource_id from idempotency_keys
        where owner = ${claim.owner} and route = ${claim.route} and key = ${claim.key}`,
    );
    if (known.body_hash !== claim.bodyHash) {
      throw new DomainError('idempotency_key_reused', 'This Idempotency-Key was used with another body.');
    }
    return { resourceId: known.resource_id, bound: false };
  }

  /** Deletes up to `limit` keys that are older than `days`. */
  async deleteBefore(days: number, limit: number): Promise<void> {
    // A comparison with the volatile `clock_timestamp()` cannot be an index condition: each pass would read the whole table.
    await this.database.query(
      'idempotencyKeys.deleteBefore',
      sql`
        delete from idempotency_keys where (owner, route, key) in (
          select owner, route, key from idempotency_keys where created_at < statement_timestamp() - ${days} * interval '1 day'
          order by created_at limit ${limit})`,
    );
  }
}
