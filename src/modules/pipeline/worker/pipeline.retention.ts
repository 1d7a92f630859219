import { Injectable, Logger } from '@nestjs/common';
import { AppConfig } from '../../../config/index.js';
import { IdempotencyRepository } from '../../../platform/idempotency/index.js';
import { TreeSweeper } from '../../tools/index.js';
import { TaskAdminRepository } from '../store/task-admin.repository.js';
import { WorkersRepository } from '../store/workers.repository.js';

/** Rows deleted in one statement: small enough to hold no lock for long. */
const BATCH = 500;

/** Deletes what is older than its retention setting, and what ended tasks left on this machine's disk. */
@Injectable()
export class PipelineRetention {
  private readonly logger = new Logger('Retention');

  constructor(
    private readonly config: AppConfig,
    private readonly admin: TaskAdminRepository,
    private readonly idempotency: IdempotencyRepository,
    private readonly workers: WorkersRepository,
    private readonly trees: TreeSweeper,
  ) {}

  /** One pass: a batch of each table, and the leftover work trees. A part that fails does not keep the others from running. */
  async pass(): Promise<void> {
    const { tasks, taskEvents, idempotencyKeys } = this.config.retentionDays;
    const parts = [
      async () => tasks !== null && (await this.admin.deleteEndedBefore(tasks, BATCH)),
      async () => taskEvents !== null && (await this.admin.deleteEventsBefore(taskEvents, BATCH)),
      () => this.idempotency.deleteBefore(idempotencyKeys, BATCH),
      () => this.workers.forgetDead(),
      () => this.trees.sweep(),
    ];
    for (const part of parts) {
      await part().catch((error: unknown) =>
        this.logger.warn(`A part failed and will run again: ${error instanceof Error ? error.message : String(error)}`),
      );
    }
  }
}
