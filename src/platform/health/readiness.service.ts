import { HttpException, Injectable } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { HealthCheckService, HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { Lifecycle } from './lifecycle.js';
import { ReadinessIndicator, type HealthIndicator, type ReadinessIndicatorOptions } from './readiness-indicator.js';
import type { ReadinessDto } from './readiness.dto.js';

/** An indicator that is silent for so long is down. */
const PATIENCE_MS = 2_000;

@Injectable()
export class ReadinessService {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly health: HealthIndicatorService,
    private readonly checks: HealthCheckService,
    private readonly lifecycle: Lifecycle,
  ) {}

  /** Terminus' result. Indicators that do not decide are listed with what they report and leave `status` alone. */
  async check(): Promise<ReadinessDto> {
    const answers = await Promise.all(
      this.discovery.getProviders({ metadataKey: ReadinessIndicator.KEY }).map(async (provider) => {
        const options = this.discovery.getMetadataByDecorator(ReadinessIndicator, provider);
        const { name, decides } = options as ReadinessIndicatorOptions;
        return { decides, report: await this.reportOf(name, provider.instance as HealthIndicator) };
      }),
    );
    const result = await this.terminus(answers.filter(({ decides }) => decides).map(({ report }) => report));
    for (const { decides, report } of answers) {
      if (decides) continue;
      result.info = { ...result.info, ...report };
      result.details = { ...result.details, ...report };
    }
    if (this.lifecycle.draining) {
      const draining = this.health.check('process').down({ reason: 'draining' });
      result.status = 'shutting_down';
      result.error = { ...result.error, ...draining };
      result.details = { ...result.details, ...draining };
    }
    return result;
  }

  private async terminus(results: HealthIndicatorResult[]): Promise<ReadinessDto> {
    try {
      return (await this.checks.check(results.map((result) => () => result))) as ReadinessDto;
    } catch (error) {
      if (error instanceof HttpException) return error.getResponse() as ReadinessDto;
      throw error;
    }
  }

  /** Never rejects. */
  private async reportOf(name: string, indicator: HealthIndicator): Promise<HealthIndicatorResult> {
    const state = this.health.check(name);
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<HealthIndicatorResult>((resolve) => {
      timer = setTimeout(() => resolve(state.down({ reason: 'it does not answer' })), PATIENCE_MS);
    });
    try {
      return await Promise.race([Promise.resolve(indicator.check(state)), silence]);
    } catch {
      return state.down({ reason: 'it cannot be asked' });
    } finally {
      clearTimeout(timer);
    }
  }
}
