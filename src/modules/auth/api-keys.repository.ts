import { Injectable } from '@nestjs/common';
import { Database, joinSql, json, sql, type Sql, type ApiKeyRow } from '../../platform/database/index.js';
import type { Cursor, PageRequest } from '../../platform/paging/index.js';

/** A key as it is stored and shown. */
export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly keyPrefix: string;
  readonly isActive: boolean;
  readonly rateLimitRpm: number | null;
  readonly expiresAt: Date | null;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
  readonly metadata: Record<string, unknown>;
}

/** The columns of a key that authentication reads. */
export interface KeyVerdict {
  readonly id: string;
  readonly name: string;
  readonly isActive: boolean;
  readonly rateLimitRpm: number | null;
  /** Milliseconds until the key expires by the database's clock; not positive when it has, null when it never does. */
  readonly expiresInMs: number | null;
}

type SelectedApiKey = Pick<
  ApiKeyRow,
  | 'id'
  | 'name'
  | 'key_prefix'
  | 'is_active'
  | 'rate_limit_rpm'
  | 'expires_at'
  | 'created_at'
  | 'last_used_at'
  | 'metadata'
> & { created_at_text: string; metadata: Record<string, unknown> };

/** Whether a key works as far as its row says; by the database's clock, as everywhere. */
const USABLE = sql`(is_active and (expires_at is null or expires_at > statement_timestamp()))`;
const COLUMNS = sql`id, name, key_prefix, ${USABLE} as is_active, rate_limit_rpm, expires_at, created_at,
  created_at::text as created_at_text, last_used_at, metadata`;

@Injectable()
export class ApiKeysRepository {
  constructor(private readonly db: Database) {}

  /** Null, and nothing is stored, when the key would have expired already. */
  async insert(key: {
    id: string;
    name: string;
    keyHash: string;
    keyPrefix: string;
    rateLimitRpm: number | null;
    expiresAt: Date | null;
    metadata: Record<string, unknown>;
  }): Promise<ApiKey | null> {
    const row = await this.db.maybeOne<SelectedApiKey>(
      'apiKeys.insert',
      sql`insert into api_keys (id, name, key_hash, key_prefix, rate_limit_rpm, expires_at, metadata)
          select ${key.id}::uuid, ${key.name}, ${key.keyHash}, ${key.keyPrefix}, ${key.rateLimitRpm}::integer, ends.at,
                 ${json(key.metadata)}::jsonb
          from (select ${key.expiresAt}::timestamptz as at) as ends
          where ends.at is null or ends.at > statement_timestamp()
          returning ${COLUMNS}`,
    );
    return row && toApiKey(row);
  }

  /** Newest first; one row more than the page holds when others follow. Uses api_keys_created_at_id_idx. */
  async page(page: PageRequest, isActive: boolean | null): Promise<{ key: ApiKey; cursor: Cursor }[]> {
    const filters: Sql[] = [sql`true`];
    if (isActive !== null) filters.push(sql`${USABLE} = ${isActive}`);
    if (page.after !== null) {
      filters.push(sql`(created_at, id) < (${page.after.at}::timestamptz, ${page.after.id}::uuid)`);
    }
    const rows = await this.db.query<SelectedApiKey>(
      'apiKeys.page',
      sql`select ${COLUMNS} from api_keys where ${joinSql(filters, ' and ')}
          order by created_at desc, id desc limit ${page.limit + 1} offset ${page.offset}`,
    );
    return rows.map((row) => ({ key: toApiKey(row), cursor: { at: row.created_at_text, id: row.id } }));
  }

  /** Revokes an active key; false when there is none of this id. */
  async revoke(id: string): Promise<boolean> {
    const rows = await this.db.query(
      'apiKeys.revoke',
      sql`update api_keys set is_active = false, revoked_at = clock_timestamp() where id = ${id} and is_active returning id`,
    );
    return rows.length > 0;
  }

  async findByHash(keyHash: string): Promise<KeyVerdict | null> {
    const row = await this.db.maybeOne<SelectedApiKey & { expires_in_ms: number | null }>(
      'apiKeys.findByHash',
      sql`select id, name, is_active, rate_limit_rpm,
            (extract(epoch from expires_at - clock_timestamp()) * 1000)::float8 as expires_in_ms
          from api_keys where key_hash = ${keyHash}`,
    );
    if (row === null) return null;
    return {
      id: row.id,
      name: row.name,
      isActive: row.is_active,
      rateLimitRpm: row.rate_limit_rpm,
      expiresInMs: row.expires_in_ms,
    };
  }

  /** Those of `ids` that were revoked. */
  async revokedAmong(ids: readonly string[]): Promise<Set<string>> {
    const rows = await this.db.query<Pick<ApiKeyRow, 'id'>>(
      'apiKeys.revokedAmong',
      sql`select id from api_keys where id = any(${[...ids]}::uuid[]) and revoked_at is not null`,
    );
    return new Set(rows.map((row) => row.id));
  }

  /** The requests a minute of a key, expired or not; null when it is unknown or was revoked. */
  async findAllowance(id: string): Promise<{ rateLimitRpm: number | null } | null> {
    const row = await this.db.maybeOne<Pick<ApiKeyRow, 'rate_limit_rpm'>>(
      'apiKeys.findAllowance',
      sql`select rate_limit_rpm from api_keys where id = ${id} and revoked_at is null`,
    );
    return row && { rateLimitRpm: row.rate_limit_rpm };
  }

  /** Transitions `last_used_at` forward; ages instead of times, so that this process's clock does not matter. */
  async touch(uses: readonly { id: string; ageMs: number }[]): Promise<void> {
    await this.db.query(
      'apiKeys.touch',
      sql`update api_keys k set last_used_at = greatest(k.last_used_at, clock_timestamp() - u.age * interval '1 millisecond')
          from unnest(${uses.map((use) => use.id)}::uuid[], ${uses.map((use) => use.ageMs)}::float8[]) as u(id, age)
          where k.id = u.id`,
    );
  }
}

function toApiKey(row: SelectedApiKey): ApiKey {
  return {
    id: row.id,
    name: row.name,
    keyPrefix: row.key_prefix,
    isActive: row.is_active,
    rateLimitRpm: row.rate_limit_rpm,
    expiresAt: row.expires_at,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
    metadata: row.metadata,
  };
}
