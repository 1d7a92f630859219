import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { SchedulerRegistry } from '@nestjs/schedule';
import { AppConfig } from '../../config/index.js';
import { decoratedMethods } from '../discovery/index.js';
import { StartStep } from '../startup/index.js';
import { PERIODIC } from './periodic.js';

/** Runs the methods that `Periodic` marks. */
@Injectable()
export class PeriodicJobs implements OnModuleDestroy {
  private readonly logger = new Logger('Jobs');
  private readonly running = new Map<string, Promise<void>>();
  private readonly failing = new Set<string>();
  private begun = false;

  constructor(
    private readonly config: AppConfig,
    private readonly discovery: DiscoveryService,
    private readonly registry: SchedulerRegistry,
  ) {}

  /** @throws Error when two jobs have one name. */
  @StartStep('background-tasks')
  async start(): Promise<void> {
    if (this.begun) return;
    this.begun = true;
    for (const { options, call } of decoratedMethods(this.discovery, PERIODIC)) {
      const everyMs = options.everyMs(this.config);
      if (everyMs !== null) this.every(options.name, everyMs, call as () => Promise<void>);
    }
  }

  /** Stops all jobs and waits for those under way. */
  async onModuleDestroy(): Promise<void> {
    this.begun = true;
    for (const name of this.registry.getIntervals()) this.registry.deleteInterval(name);
    await Promise.allSettled(this.running.values());
  }

  private every(name: string, everyMs: number, work: () => Promise<void>): void {
    const timer = setInterval(() => {
      if (!this.running.has(name)) void this.runOnce(name, work);
    }, everyMs);
    this.registry.addInterval(name, timer);
  }

  /** Logs the first failure of a row of them, and its end. */
  private async runOnce(name: string, work: () => Promise<void>): Promise<void> {
    const run = work().then(
      () => {
        if (this.failing.delete(name)) this.logger.log(`${name} works again`);
      },
      (error: unknown) => {
        if (this.failing.has(name)) return;
        this.failing.add(name);
        this.logger.warn(
          `${name} failed and will run again: ${error instanceof Error ? error.message : String(error)}`,
        );
      },
    );
    this.running.set(name, run);
    await run;
    this.running.delete(name);
  }
}
