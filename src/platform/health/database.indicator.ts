import type { HealthIndicatorResult } from '@nestjs/terminus';
import { DatabaseBootstrap } from '../database/index.js';
import { ReadinessIndicator, type HealthIndicator, type IndicatorState } from './readiness-indicator.js';

@ReadinessIndicator({ name: 'database', decides: true })
export class DatabaseIndicator implements HealthIndicator {
  constructor(private readonly database: DatabaseBootstrap) {}

  check(state: IndicatorState): HealthIndicatorResult {
    const { ready, reason } = this.database.state();
    if (!ready) return state.down({ reason: reason ?? 'it is not ready' });
    const clocks = this.database.clocksApart();
    return clocks === null ? state.up() : state.up({ reason: clocks });
  }
}
