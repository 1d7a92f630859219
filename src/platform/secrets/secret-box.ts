import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Injectable, Logger } from '@nestjs/common';
import { AppConfig } from '../../config/index.js';
import { Scrubber } from '../logging/index.js';
import { keptSecret } from './kept-secret.js';

/** A sealed secret: the id of its key, and in base64url its nonce, its tag and its ciphertext. */
interface Sealed {
  readonly key: string;
  readonly sealed: string;
}

/** A secret in the database: as it is where there was no key, else sealed; null where somebody else has written that. */
export type StoredSecret = string | Sealed | null;

/** A stored secret that cannot be opened. */
export class UnreadableSecret {
  constructor(
    readonly stored: Sealed | null,
    /** The rest of a sentence. */
    readonly reason: string,
  ) {}
}

export type Secret = string | UnreadableSecret;

const FILE = 'secrets-key';
const CIPHER = 'aes-256-gcm';
const [NONCE_BYTES, TAG_BYTES] = [12, 16];

/**
 * Seals secrets that the database keeps with AES-256-GCM, each to the place it is stored at: moved elsewhere, it does not open.
 * Of several keys the first seals and all open. The keys are those of SECRETS_KEY; the embedded database has one in its
 * data folder, made when none is given. Without a key secrets are stored as they are, and readiness says so.
 */
@Injectable()
export class SecretBox {
  private readonly logger = new Logger('Secrets');
  /** The first one seals. */
  private readonly keys: readonly { id: string; key: Buffer }[];
  /** Why secrets are stored as they are; null where they are sealed. */
  readonly warning: string | null;

  constructor(config: AppConfig, scrubber: Scrubber) {
    const given = config.secrets.keys;
    const kept = config.database.url === null ? this.ofFolder(config.dataDir, given.length === 0) : [];
    for (const key of kept) scrubber.keep(key);
    this.keys = [...given, ...kept].map((text) => {
      const key = Buffer.from(text, 'base64');
      return { id: idOf(key), key };
    });
    const isSealing = this.keys.length > 0;
    this.warning = isSealing ? null : 'SECRETS_KEY is not set: secrets of MCP servers are stored as plain text';
    if (this.warning !== null) this.logger.warn(this.warning);
  }

  /** `secret` for storage at `place`; one that could not be read stays as it is stored. */
  seal(secret: Secret, place: string): StoredSecret {
    if (secret instanceof UnreadableSecret) return secret.stored;
    const [first] = this.keys;
    if (first === undefined) return secret;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, first.key, nonce).setAAD(Buffer.from(place));
    const text = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
    return { key: first.id, sealed: Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64url') };
  }

  /** The secret that is stored at `place`. */
  open(stored: StoredSecret, place: string): Secret {
    if (typeof stored === 'string') return stored;
    const known = this.keys.find(({ id }) => id === stored?.key);
    if (stored === null || known === undefined)
      return new UnreadableSecret(stored, 'SECRETS_KEY does not hold the key that it was sealed with');
    try {
      const bytes = Buffer.from(stored.sealed, 'base64url');
      const [nonce, rest] = [bytes.subarray(0, NONCE_BYTES), bytes.subarray(NONCE_BYTES)];
      const decipher = createDecipheriv(CIPHER, known.key, nonce, { authTagLength: TAG_BYTES }).setAAD(
        Buffer.from(place),
      );
      decipher.setAuthTag(rest.subarray(0, TAG_BYTES));
      return Buffer.concat([decipher.update(rest.subarray(TAG_BYTES)), decipher.final()]).toString('utf8');
    } catch {
      return new UnreadableSecret(stored, 'what is stored is not what was sealed');
    }
  }

  /** Whether `seal` would store it in a better way by now: sealed at all, or with the first key. */
  isStale(stored: StoredSecret): boolean {
    const [first, ...others] = this.keys;
    return typeof stored === 'string' ? first !== undefined : others.some(({ id }) => id === stored?.key);
  }

  /** The key in the data folder, which is made only if it is `needed`. */
  private ofFolder(dataDir: string, needed: boolean): string[] {
    const file = join(dataDir, FILE);
    if (!needed && !existsSync(file)) return [];
    try {
      return [keptSecret(file)];
    } catch (error) {
      this.logger.error({ message: `No key for secrets can be kept in ${file}`, error });
      return [];
    }
  }
}

/** Tells keys apart and nothing about them. */
function idOf(key: Buffer): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 8);
}
