import { DiscoveryService } from '@nestjs/core';
import type { HealthIndicatorResult, HealthIndicatorService } from '@nestjs/terminus';

export interface ReadinessIndicatorOptions {
  readonly name: string;
  /** Whether `down` makes the process unready. The others are reported and never decide. */
  readonly decides: boolean;
}

/** Makes Terminus' result of one indicator, under its name: `up`, `degraded` or `down`, with details for people. */
export type IndicatorState = ReturnType<HealthIndicatorService['check']>;

/** What readiness asks. */
export interface HealthIndicator {
  /**
   * Says through `state` how it is, within a second; a rejection, or a longer silence, counts as `down`. A `reason` says why it
   * is not up, without secrets.
   */
  check(state: IndicatorState): HealthIndicatorResult | Promise<HealthIndicatorResult>;
}

/** The provider is a `HealthIndicator` that readiness asks; it is found when its module is imported. */
export const ReadinessIndicator = DiscoveryService.createDecorator<ReadinessIndicatorOptions>();
