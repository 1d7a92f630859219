import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { EventBus } from '../../platform/redis/index.js';
import { onScheduler, Periodic } from '../../platform/schedule/index.js';
import { KEYS_REVOKED_CHANNEL, KeyStandings } from '../auth/index.js';
import { TURN_CANCELLED_CHANNEL } from './turn-runner.js';
import { TurnsRepository } from './turns.repository.js';

const LOOK_MS = 5_000;

/** Ends turns whose key was revoked: told at once, or by a look at what was not told. Says which turns were cancelled. */
@Injectable()
export class TurnEnds implements OnModuleDestroy {
  private readonly logger = new Logger('Turns');
  private readonly unsubscribe: () => void;

  constructor(
    private readonly turns: TurnsRepository,
    private readonly standings: KeyStandings,
    private readonly bus: EventBus,
  ) {
    this.unsubscribe = bus.subscribe(KEYS_REVOKED_CHANNEL, () => {
      this.ofRevokedKeys().catch((error: unknown) =>
        this.logger.warn({ message: 'The turns of a revoked key could not be cancelled yet', error }),
      );
    });
  }

  onModuleDestroy(): void {
    this.unsubscribe();
  }

  @Periodic('turns-of-revoked-keys', onScheduler(() => LOOK_MS))
  async ofRevokedKeys(): Promise<void> {
    const revoked = await this.standings.revoked(await this.turns.runningOwners());
    for (const owner of revoked) {
      const error = { code: 'key_revoked', message: 'The API key of the turn was revoked.' };
      const ids = await this.turns.cancelOfOwner(owner, error);
      for (const id of ids) await this.bus.publish(TURN_CANCELLED_CHANNEL, { turn_id: id });
    }
  }

  /** Those of `ids` that are cancelled turns. */
  cancelledAmong(ids: readonly string[]): Promise<string[]> {
    return this.turns.cancelledAmong(ids);
  }
}
