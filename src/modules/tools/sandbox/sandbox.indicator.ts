import type { HealthIndicatorResult } from '@nestjs/terminus';
import { AppConfig } from '../../../config/index.js';
import { ReadinessIndicator, type HealthIndicator, type IndicatorState } from '../../../platform/health/index.js';
import { Sandbox } from './sandbox.js';

/** Reports whether commands can be confined; never decides, since tools refuse where they cannot. */
@ReadinessIndicator({ name: 'sandbox', decides: false })
export class SandboxIndicator implements HealthIndicator {
  constructor(
    private readonly config: AppConfig,
    private readonly sandbox: Sandbox,
  ) {}

  async check(state: IndicatorState): Promise<HealthIndicatorResult> {
    const found = await this.sandbox.state();
    const host = this.config.sandbox === 'host' ? { host: 'SHELL_SANDBOX=host allows unconfined commands' } : {};
    return found.enforced
      ? state.up({ user: found.user, ...host })
      : state.down({ reason: `${found.reason}; tools refuse`, ...host });
  }
}
