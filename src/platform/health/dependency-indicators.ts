import { Injectable } from '@nestjs/common';
import { Clock } from '../clock/index.js';
import { DatabaseBootstrap } from '../database/index.js';
import { LiveStateHealth } from '../redis/index.js';
import { HealthIndicators, type IndicatorReport } from './health-indicators.js';

/** Redis is allowed to be away for so long before the process counts as unready: every route works without it. */
const REDIS_GRACE_MS = 10_000;

/** The two dependencies that decide readiness. */
@Injectable()
export class DependencyIndicators {
  /** Whether the shared state was ever seen to answer; until then there is no grace. */
  private redisWasUp = false;

  constructor(
    indicators: HealthIndicators,
    private readonly database: DatabaseBootstrap,
    private readonly liveState: LiveStateHealth,
    private readonly clock: Clock,
  ) {
    indicators.register({ name: 'database', decides: true, report: () => this.ofDatabase() });
    indicators.register({ name: 'redis', decides: true, report: () => this.ofRedis() });
  }

  private ofDatabase(): IndicatorReport {
    const { ready, reason } = this.database.state();
    const clocks = this.database.clocksApart();
    if (ready && clocks !== null) return { status: 'up', reason: clocks };
    return ready ? { status: 'up' } : { status: 'down', reason: reason ?? 'it is not ready' };
  }

  private ofRedis(): IndicatorReport {
    const outage = this.liveState.outage();
    const { kind } = this.liveState;
    if (outage === null) {
      this.redisWasUp = true;
      return { status: 'up', kind };
    }
    const awayMs = this.clock.monotonicMs() - outage.sinceMs;
    if (this.redisWasUp && awayMs < REDIS_GRACE_MS) return { status: 'up', kind, reason: outage.reason };
    return { status: 'down', kind, reason: outage.reason };
  }
}
