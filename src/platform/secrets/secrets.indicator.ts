import type { HealthIndicatorResult } from '@nestjs/terminus';
import { ReadinessIndicator, type HealthIndicator, type IndicatorState } from '../health/index.js';
import { SecretBox } from './secret-box.js';

/** Tells people that secrets are stored as plain text. */
@ReadinessIndicator({ name: 'secrets', decides: false })
export class SecretsIndicator implements HealthIndicator {
  constructor(private readonly box: SecretBox) {}

  check(state: IndicatorState): HealthIndicatorResult {
    return this.box.warning === null ? state.up() : state.degraded({ reason: this.box.warning });
  }
}
