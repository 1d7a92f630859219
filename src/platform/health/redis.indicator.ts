import type { HealthIndicatorResult } from '@nestjs/terminus';
import { Clock } from '../clock/index.js';
import { LiveStateHealth } from '../redis/index.js';
import { ReadinessIndicator, type HealthIndicator, type IndicatorState } from './readiness-indicator.js';

/** Redis is allowed to be away for so long before the process counts as unready: every route works without it. */
const GRACE_MS = 10_000;

@ReadinessIndicator({ name: 'redis', decides: true })
export class RedisIndicator implements HealthIndicator {
  /** Whether the shared state was ever seen to answer; until then there is no grace. */
  private wasUp = false;

  constructor(
    private readonly liveState: LiveStateHealth,
    private readonly clock: Clock,
  ) {}

  check(state: IndicatorState): HealthIndicatorResult {
    const outage = this.liveState.outage();
    const { kind } = this.liveState;
    if (outage === null) {
      this.wasUp = true;
      return state.up({ kind });
    }
    const { reason, sinceMs } = outage;
    const isForgiven = this.wasUp && this.clock.monotonicMs() - sinceMs < GRACE_MS;
    return isForgiven ? state.up({ kind, reason }) : state.down({ kind, reason });
  }
}
