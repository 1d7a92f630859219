import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { SchedulerRegistry } from '@nestjs/schedule';

/** Jobs that run again and again. A job never overlaps itself, and its failure is logged and costs one turn only. */
@Injectable()
export class PeriodicJobs implements OnModuleDestroy {
  private readonly logger = new Logger('Jobs');
  private readonly running = new Map<string, Promise<void>>();

  constructor(private readonly registry: SchedulerRegistry) {}

  /** Runs `work` every `intervalMs`, first after one interval, until the module is destroyed. */
  every(name: string, intervalMs: number, work: () => Promise<void>): void {
    this.registry.addInterval(
      name,
      setInterval(() => {
        if (!this.running.has(name)) void this.runOnce(name, work);
      }, intervalMs),
    );
  }

  /** Stops all jobs and waits for those under way. */
  async onModuleDestroy(): Promise<void> {
    for (const name of this.registry.getIntervals()) this.registry.deleteInterval(name);
    await Promise.allSettled(this.running.values());
  }

  private async runOnce(name: string, work: () => Promise<void>): Promise<void> {
    const turn = work().catch((error: unknown) =>
      this.logger.warn(`${name} failed and will run again: ${error instanceof Error ? error.message : String(error)}`),
    );
    this.running.set(name, turn);
    await turn;
    this.running.delete(name);
  }
}
