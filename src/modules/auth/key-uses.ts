import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Clock } from '../../platform/clock/index.js';
import { Periodic } from '../../platform/schedule/index.js';
import { ApiKeysRepository } from './api-keys.repository.js';

const FLUSH_MS = 30_000;

/** When keys were last used, written together now and then instead of once for each request. */
@Injectable()
export class KeyUses implements OnApplicationShutdown {
  private readonly logger = new Logger('Auth');
  private uses = new Map<string, number>();

  constructor(
    private readonly keys: ApiKeysRepository,
    private readonly clock: Clock,
  ) {}

  note(keyId: string): void {
    this.uses.set(keyId, this.clock.monotonicMs());
  }

  /** Writes what was noted. What cannot be written now is kept for the next time. */
  @Periodic('key-uses', () => FLUSH_MS)
  async flush(): Promise<void> {
    if (this.uses.size === 0) return;
    const uses = this.uses;
    this.uses = new Map();
    const now = this.clock.monotonicMs();
    try {
      await this.keys.touch([...uses].map(([id, at]) => ({ id, ageMs: now - at })));
    } catch (error) {
      this.logger.warn({ message: 'The times of use of API keys could not be written', error });
      this.uses = new Map([...uses, ...this.uses]);
    }
  }

  /** After the last request, before the database is let go. */
  onApplicationShutdown(): Promise<void> {
    return this.flush();
  }
}
