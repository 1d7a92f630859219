import { Injectable, HttpException } from '@nestjs/common';
import { HealthCheckService } from '@nestjs/terminus';
import { HealthIndicators, type Indicator, type IndicatorReport } from './health-indicators.js';
import { Lifecycle } from './lifecycle.js';
import type { ReadinessDto } from './readiness.dto.js';

/** An indicator that is silent for so long is down. */
const PATIENCE_MS = 2_000;

@Injectable()
export class ReadinessService {
  constructor(
    private readonly indicators: HealthIndicators,
    private readonly checks: HealthCheckService,
    private readonly lifecycle: Lifecycle,
  ) {}

  /** Terminus' result. Indicators that do not decide are listed with what they report and leave `status` alone. */
  async check(): Promise<ReadinessDto> {
    const all = this.indicators.all();
    const reports = new Map(await Promise.all(all.map(async (one) => [one.name, await reportOf(one)] as const)));
    const deciding = all.filter((one) => one.decides);
    const result = await this.terminus(deciding.map((one) => ({ [one.name]: { ...DOWN, ...reports.get(one.name) } })));
    for (const one of all) {
      const report = reports.get(one.name);
      if (one.decides || report === undefined) continue;
      result.info = { ...result.info, [one.name]: report };
      result.details = { ...result.details, [one.name]: report };
    }
    if (this.lifecycle.draining) {
      const draining = { process: { status: 'down', reason: 'draining' } } as const;
      result.status = 'shutting_down';
      result.error = { ...result.error, ...draining };
      result.details = { ...result.details, ...draining };
    }
    return result;
  }

  private async terminus(results: Record<string, IndicatorReport>[]): Promise<ReadinessDto> {
    try {
      return (await this.checks.check(results.map((result) => () => result))) as ReadinessDto;
    } catch (error) {
      if (error instanceof HttpException) return error.getResponse() as ReadinessDto;
      throw error;
    }
  }
}

const DOWN: IndicatorReport = { status: 'down' };

async function reportOf(indicator: Indicator): Promise<IndicatorReport> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<IndicatorReport>((resolve) => {
    timer = setTimeout(() => resolve({ status: 'down', reason: 'it does not answer' }), PATIENCE_MS);
  });
  try {
    return await Promise.race([Promise.resolve(indicator.report()), silence]);
  } catch {
    return { status: 'down', reason: 'it cannot be asked' };
  } finally {
    clearTimeout(timer);
  }
}
