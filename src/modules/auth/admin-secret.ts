import { createHash, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import { Injectable, Logger } from '@nestjs/common';
import { AppConfig } from '../../config/index.js';
import { Scrubber } from '../../platform/logging/index.js';
import { keptSecret } from '../../platform/secrets/index.js';

const FILE = 'admin-secret';

/**
 * The admin credential: from the environment, or outside production one that is made once and kept in the data folder.
 * Only a digest of it is held.
 */
@Injectable()
export class AdminSecret {
  private readonly logger = new Logger('Auth');
  private readonly digest: Buffer | null;

  constructor(config: AppConfig, scrubber: Scrubber) {
    const secret = config.auth.adminSecret ?? (config.production ? null : this.generated(config.dataDir));
    scrubber.keep(secret);
    this.digest = secret === null ? null : sha256(secret);
    if (this.digest === null) this.logger.warn('No ADMIN_SECRET is configured: admin routes answer 503');
  }

  get configured(): boolean {
    return this.digest !== null;
  }

  /** Compares digests in constant time. False for everything while none is configured. */
  matches(presented: string): boolean {
    return this.digest !== null && timingSafeEqual(this.digest, sha256(presented));
  }

  /** The secret of this data folder. A folder that cannot hold one leaves the admin routes closed. */
  private generated(dataDir: string): string | null {
    const file = join(dataDir, FILE);
    try {
      const secret = keptSecret(file);
      this.logger.log(`No ADMIN_SECRET is set: the one in ${file} is in force`);
      return secret;
    } catch (error) {
      this.logger.error({ message: `No admin secret can be kept in ${file}`, error });
      return null;
    }
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
