import type { HealthIndicatorResult } from '@nestjs/terminus';
import { ReadinessIndicator, type HealthIndicator, type IndicatorState } from '../../platform/health/index.js';
import { LlmService } from './llm.service.js';
import { ProviderCooldown } from './provider-cooldown.js';

/** Reports whether there is a model to ask; never decides, since every route works without one. */
@ReadinessIndicator({ name: 'models', decides: false })
export class ModelsIndicator implements HealthIndicator {
  constructor(
    private readonly llm: LlmService,
    private readonly cooldown: ProviderCooldown,
  ) {}

  async check(state: IndicatorState): Promise<HealthIndicatorResult> {
    const model = await this.llm.defaultModel();
    if (model === null) return state.down({ reason: 'no model is configured' });
    const cooling = this.cooldown.coolingHere();
    if (cooling.length > 0) return state.degraded({ reason: `cooling: ${cooling.join(', ')}`, default_model: model });
    return state.up({ default_model: model });
  }
}
