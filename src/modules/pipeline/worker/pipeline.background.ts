import { Injectable } from '@nestjs/common';
import { AppConfig } from '../../../config/index.js';
import { PipelineReaper } from './pipeline.reaper.js';
import { PipelineConsumer } from './pipeline.consumer.js';

/** Starts what this process does for the pipeline, by its roles. */
@Injectable()
export class PipelineBackground {
  constructor(
    private readonly config: AppConfig,
    private readonly worker: PipelineConsumer,
    private readonly reaper: PipelineReaper,
  ) {}

  /** Needs the database. */
  async start(): Promise<void> {
    const worker = this.config.roles.includes('worker') ? await this.worker.start() : 0;
    if (this.config.redis.url === null) await this.reaper.reapOthers(worker);
    if (this.config.roles.includes('scheduler')) this.reaper.start();
  }
}
