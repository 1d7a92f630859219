import { Injectable } from '@nestjs/common';

/** What an indicator reports. `reason` says why it is not `up`, without secrets; further fields are for people. */
export interface IndicatorReport {
  status: 'up' | 'degraded' | 'down';
  reason?: string;
  [detail: string]: unknown;
}

export interface Indicator {
  readonly name: string;
  /** Whether `down` makes the process unready. The others are reported and never decide. */
  readonly decides: boolean;
  /** Answers within a second; what it throws, or a longer silence, counts as `down`. */
  report(): IndicatorReport | Promise<IndicatorReport>;
}

/** What readiness looks at. Modules register theirs when they are constructed. */
@Injectable()
export class HealthIndicators {
  private readonly indicators = new Map<string, Indicator>();

  /** Adds `indicator`, or replaces the one of the same name. */
  register(indicator: Indicator): void {
    this.indicators.set(indicator.name, indicator);
  }

  all(): readonly Indicator[] {
    return [...this.indicators.values()];
  }
}
