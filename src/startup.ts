import { Injectable, Logger } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { AgentsBackground } from './modules/agents/index.js';
import { McpConnections } from './modules/mcp/index.js';
import { PipelineBackground } from './modules/pipeline/index.js';
import { TurnsReaper } from './modules/tasks/index.js';
import { Clock } from './platform/clock/index.js';
import { DatabaseBootstrap, SingleProcessError } from './platform/database/index.js';
import { HealthIndicators, Lifecycle, type IndicatorReport } from './platform/health/index.js';

/** One thing the process does at its start. It may take as long as it needs; `signal` is aborted when the process ends. */
export interface StartStep {
  readonly name: string;
  run(modules: ModuleRef, signal: AbortSignal): Promise<void>;
}

/** In this order; later steps may rely on earlier ones having been tried, not on their success. */
export const START_STEPS: readonly StartStep[] = [
  {
    name: 'database',
    run: (modules, signal) => modules.get(DatabaseBootstrap, { strict: false }).start(signal),
  },
  {
    // Whose turns are dead, and which agents there are, stands in the database.
    name: 'recover-agents',
    run: async (modules) => {
      await modules.get(TurnsReaper, { strict: false }).start();
      await modules.get(AgentsBackground, { strict: false }).restore();
    },
  },
  {
    name: 'canonical-agent',
    run: (modules) => modules.get(AgentsBackground, { strict: false }).ensureCanonical(),
  },
  {
    // Only begins: no server, dead or slow, holds up the start.
    name: 'mcp',
    run: (modules) => modules.get(McpConnections, { strict: false }).start(),
  },
  {
    name: 'background-tasks',
    run: (modules) => modules.get(PipelineBackground, { strict: false }).start(),
  },
];

const RETRY_MS = { first: 1_000, most: 30_000 };

/**
 * Runs the start steps behind a server that answers already. A step that fails is reported, tried again with growing pauses,
 * and holds up none of the others.
 */
@Injectable()
export class Startup {
  private readonly logger = new Logger('Startup');
  private current: string | null = null;
  private readonly failing = new Map<string, string>();

  constructor(
    private readonly modules: ModuleRef,
    private readonly lifecycle: Lifecycle,
    private readonly clock: Clock,
    indicators: HealthIndicators,
  ) {
    indicators.register({ name: 'startup', decides: false, report: () => this.report() });
  }

  /**
   * Resolves when every step was tried.
   * @throws SingleProcessError when this process may not run beside another one.
   */
  async run(steps: readonly StartStep[] = START_STEPS): Promise<void> {
    const { drainSignal } = this.lifecycle;
    for (const step of steps) {
      if (drainSignal.aborted) return;
      this.current = step.name;
      if (!(await this.attempt(step))) void this.retry(step);
    }
    this.current = null;
    if (!drainSignal.aborted) this.logger.log('The start is complete');
  }

  private async attempt(step: StartStep): Promise<boolean> {
    const { drainSignal } = this.lifecycle;
    const startedAt = this.clock.monotonicMs();
    try {
      await step.run(this.modules, drainSignal);
      this.failing.delete(step.name);
      this.logger.log({
        message: `Start step ${step.name} is done`,
        duration_ms: Math.round(this.clock.monotonicMs() - startedAt),
      });
      return true;
    } catch (error) {
      if (error instanceof SingleProcessError) throw error;
      if (drainSignal.aborted) return true;
      this.failing.set(step.name, `${step.name} has failed and is tried again`);
      this.logger.warn({ message: `Start step ${step.name} failed and is tried again`, error });
      return false;
    }
  }

  private async retry(step: StartStep): Promise<void> {
    for (let pause = RETRY_MS.first; ; pause = Math.min(pause * 2, RETRY_MS.most)) {
      await this.clock.sleep(pause, this.lifecycle.drainSignal);
      if (this.lifecycle.drainSignal.aborted || (await this.attempt(step))) return;
    }
  }

  private report(): IndicatorReport {
    if (this.current !== null) return { status: 'degraded', reason: `the start is at the step ${this.current}` };
    if (this.failing.size > 0) return { status: 'degraded', reason: [...this.failing.values()].join('; ') };
    return { status: 'up' };
  }
}
