import { Injectable } from '@nestjs/common';
import { validate as isUuid } from 'uuid';
import { AppConfig } from '../../config/index.js';
import { WorkTrees } from '../tools/index.js';
import { TaskAdminRepository } from './task-admin.repository.js';
import { WorkersRepository } from './workers.repository.js';

/** Rows deleted in one statement: small enough to hold no lock for long. */
const BATCH = 500;

/** Deletes what is older than its retention setting, and what ended tasks left on this machine's disk. */
@Injectable()
export class PipelineRetention {
  constructor(
    private readonly config: AppConfig,
    private readonly admin: TaskAdminRepository,
    private readonly workers: WorkersRepository,
    private readonly trees: WorkTrees,
  ) {}

  /** One pass: a batch of each table, and the leftover work trees. */
  async pass(): Promise<void> {
    const { tasks, taskEvents, idempotencyKeys } = this.config.retentionDays;
    if (tasks !== null) await this.admin.deleteEndedBefore(tasks, BATCH);
    if (taskEvents !== null) await this.admin.deleteEventsBefore(taskEvents, BATCH);
    await this.admin.deleteIdempotencyKeysBefore(idempotencyKeys, BATCH);
    await this.workers.forgetDead();
    await this.trees.sweep((ids) => this.admin.unfinished(ids.filter((id) => isUuid(id))));
  }
}
