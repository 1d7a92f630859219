import { ApiProperty } from '@nestjs/swagger';
import { IsInt, IsObject, IsOptional, IsString, Length, Max, Min } from 'class-validator';
import {
  IsMoment,
  MaxCharacters,
  MaxJsonBytes,
  MayBeOmitted,
  PageQueryDto,
  BooleanQuery,
} from '../../platform/http/index.js';
import type { ApiKey } from './api-keys.repository.js';

/** A new API key. */
export class CreateApiKeyDto {
  /** Name for people. */
  @IsString()
  @Length(1, 100)
  @MaxCharacters(100)
  name: string;

  /** Requests a minute; null is no limit. */
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(1_000_000)
  rate_limit_rpm?: number | null = 60;

  /** When it stops working, which lies in the future; null is never. */
  @IsOptional()
  @IsMoment(1970)
  expires_at?: string | null;

  /** Anything that callers want to keep with it, at most 16 KiB as JSON. */
  @MayBeOmitted()
  @IsObject()
  @MaxJsonBytes(16_384)
  metadata?: Record<string, unknown>;
}

/** An API key without its secret part. */
export class ApiKeyDto {
  @ApiProperty({ format: 'uuid' })
  id: string;
  name: string;
  /** The first characters of the key. */
  key_prefix: string;
  /** False once it is revoked or has expired. */
  is_active: boolean;
  /** Requests a minute; null is no limit. */
  @ApiProperty({ type: 'integer' })
  rate_limit_rpm: number | null;
  expires_at: Date | null;
  created_at: Date;
  /** A few seconds late at most. */
  last_used_at: Date | null;
  metadata: Record<string, unknown>;

  static from(key: ApiKey): ApiKeyDto {
    return {
      id: key.id,
      name: key.name,
      key_prefix: key.keyPrefix,
      is_active: key.isActive,
      rate_limit_rpm: key.rateLimitRpm,
      expires_at: key.expiresAt,
      created_at: key.createdAt,
      last_used_at: key.lastUsedAt,
      metadata: key.metadata,
    };
  }
}

/** A key that was just made. */
export class CreatedApiKeyDto extends ApiKeyDto {
  /** The key itself; it is shown this once. */
  raw_key: string;

  static of(key: ApiKey, rawKey: string): CreatedApiKeyDto {
    return Object.assign(ApiKeyDto.from(key), { raw_key: rawKey });
  }
}

/** Which keys to list. */
export class ListApiKeysDto extends PageQueryDto {
  /** Only keys that work, or only revoked and expired ones. */
  @MayBeOmitted()
  @BooleanQuery()
  is_active?: boolean;
}

/** A key that works. */
export class ValidatedApiKeyDto {
  valid: boolean;
  /** The key's name. */
  name: string;
}
