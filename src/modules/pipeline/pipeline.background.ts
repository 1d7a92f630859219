import { Injectable } from '@nestjs/common';
import { AppConfig } from '../../config/index.js';
import { PipelineReaper } from './pipeline.reaper.js';
import { PipelineWorker } from './pipeline.worker.js';

/** Starts what this process does for the pipeline, by its roles. */
@Injectable()
export class PipelineBackground {
  constructor(
    private readonly config: AppConfig,
    private readonly worker: PipelineWorker,
    private readonly reaper: PipelineReaper,
  ) {}

  /** Needs the database. */
  async start(): Promise<void> {
    if (this.config.roles.includes('worker')) await this.worker.start();
    if (this.config.roles.includes('scheduler')) this.reaper.start();
  }
}
