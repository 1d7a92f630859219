import { Logger } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import { Clock } from './platform/clock/index.js';
import { SingleProcessError } from './platform/database/index.js';
import { decoratedMethods } from './platform/discovery/index.js';
import { Lifecycle, ReadinessIndicator, type HealthIndicator, type IndicatorState } from './platform/health/index.js';
import { START_STEP, START_STEPS } from './platform/startup/index.js';

/** One method of the start, and the step that it is part of. */
export interface StartMethod {
  readonly step: string;
  /** `Class.method`. */
  readonly name: string;
  run(signal: AbortSignal): Promise<void>;
}

const RETRY_MS = { first: 1_000, most: 30_000 };

/**
 * Runs the methods that `StartStep` marks, step by step, behind a server that answers already. One that fails is reported,
 * tried again with growing pauses, and holds up none of the others.
 */
@ReadinessIndicator({ name: 'startup', decides: false })
export class Startup implements HealthIndicator {
  private readonly logger = new Logger('Startup');
  private current: string | null = null;
  /** By method: the step that has not succeeded. */
  private readonly failing = new Map<string, string>();

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly lifecycle: Lifecycle,
    private readonly clock: Clock,
  ) {}

  /**
   * Resolves when every method was tried.
   * @throws SingleProcessError when this process may not run beside another one.
   */
  async run(methods: readonly StartMethod[] = this.methods()): Promise<void> {
    const { drainSignal } = this.lifecycle;
    for (const method of methods) {
      if (drainSignal.aborted) return;
      this.current = method.step;
      if (!(await this.attempt(method))) void this.retry(method);
    }
    this.current = null;
    if (!drainSignal.aborted) this.logger.log('The start is complete');
  }

  /** Which step the start is at, or which ones are tried again. */
  check(state: IndicatorState): HealthIndicatorResult {
    if (this.current !== null) return state.degraded({ reason: `the start is at the step ${this.current}` });
    const steps = [...new Set(this.failing.values())];
    if (steps.length === 0) return state.up();
    return state.degraded({ reason: steps.map((step) => `${step} has failed and is tried again`).join('; ') });
  }

  private methods(): StartMethod[] {
    const found = decoratedMethods(this.discovery, START_STEP);
    return START_STEPS.flatMap((step) =>
      found
        .filter(({ options }) => options.step === step)
        .map(({ name, call }) => ({ step, name, run: call as StartMethod['run'] })),
    );
  }

  private async attempt(method: StartMethod): Promise<boolean> {
    const { step, name } = method;
    const { drainSignal } = this.lifecycle;
    const startedAt = this.clock.monotonicMs();
    try {
      await method.run(drainSignal);
      this.failing.delete(name);
      const duration_ms = Math.round(this.clock.monotonicMs() - startedAt);
      this.logger.log({ message: `Start step ${step} is done`, method: name, duration_ms });
      return true;
    } catch (error) {
      if (error instanceof SingleProcessError) throw error;
      if (drainSignal.aborted) return true;
      this.failing.set(name, step);
      this.logger.warn({ message: `Start step ${step} failed and is tried again`, method: name, error });
      return false;
    }
  }

  private async retry(method: StartMethod): Promise<void> {
    for (let pause = RETRY_MS.first; ; pause = Math.min(pause * 2, RETRY_MS.most)) {
      await this.clock.sleep(pause, this.lifecycle.drainSignal);
      if (this.lifecycle.drainSignal.aborted || (await this.attempt(method))) return;
    }
  }
}
