import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { EventBus } from '../../../platform/redis/index.js';
import { onScheduler, Periodic } from '../../../platform/schedule/index.js';
import { KEYS_REVOKED_CHANNEL, KeyStandings } from '../../auth/index.js';
import { TurnEnds } from '../../tasks/index.js';
import { TaskAdminRepository } from '../store/task-admin.repository.js';
import { TaskCommandsService, type CancelReason } from './task-commands.service.js';

const LOOK_MS = 5_000;
const BATCH = 200;

const KEY_REVOKED: CancelReason = { code: 'key_revoked', message: 'The API key of the task was revoked.', by: 'admin' };
const PARENT_CANCELLED: CancelReason = {
  code: 'parent_cancelled',
  message: 'The work that started the task was cancelled.',
  by: 'admin',
};

/**
 * Cancels tasks whose cause has ended: their key was revoked, or the task or turn whose tools started them was cancelled. It is
 * told at once where that happens, and looks by itself for what was not told or came in between.
 */
@Injectable()
export class EndedCauses implements OnModuleDestroy {
  private readonly logger = new Logger('Pipeline');
  private readonly unsubscribe: () => void;

  constructor(
    private readonly admin: TaskAdminRepository,
    private readonly commands: TaskCommandsService,
    private readonly standings: KeyStandings,
    private readonly turns: TurnEnds,
    bus: EventBus,
  ) {
    this.unsubscribe = bus.subscribe(KEYS_REVOKED_CHANNEL, () => {
      this.ofRevokedKeys().catch((error: unknown) =>
        this.logger.warn({ message: 'The work of a revoked key could not be cancelled yet', error }),
      );
    });
  }

  onModuleDestroy(): void {
    this.unsubscribe();
  }

  @Periodic('ended-causes', onScheduler(() => LOOK_MS))
  async pass(): Promise<void> {
    await this.ofRevokedKeys();
    await this.ofCancelledWork();
  }

  private async ofRevokedKeys(): Promise<void> {
    const revoked = await this.standings.revoked(await this.admin.unfinishedOwners());
    for (const owner of revoked) await this.cancelAll(() => this.admin.findUnfinishedOf(owner, BATCH), KEY_REVOKED);
  }

  private async ofCancelledWork(): Promise<void> {
    const ancestors = await this.admin.unfinishedAncestors();
    if (ancestors.length === 0) return;
    const cancelled = [
      ...(await this.admin.cancelledAmong(ancestors)),
      ...(await this.turns.cancelledAmong(ancestors)),
    ];
    for (const id of cancelled) await this.cancelAll(() => this.admin.findUnfinishedBelow(id, BATCH), PARENT_CANCELLED);
  }

  /** Cancels what `find` finds until that is nothing, or nothing of it can be cancelled. */
  private async cancelAll(find: () => Promise<string[]>, reason: CancelReason): Promise<void> {
    for (;;) {
      const ids = await find();
      let cancelled = 0;
      for (const id of ids) if (await this.commands.cancelFor(id, reason)) cancelled += 1;
      if (cancelled === 0 || ids.length < BATCH) return;
    }
  }
}
