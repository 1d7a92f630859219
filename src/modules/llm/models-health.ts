import { Injectable } from '@nestjs/common';
import { HealthIndicators } from '../../platform/health/index.js';
import { LlmService } from './llm.service.js';
import { ProviderCooldown } from './provider-cooldown.js';

/** Reports whether there is a model to ask; never decides, since every route works without one. */
@Injectable()
export class ModelsHealth {
  constructor(llm: LlmService, cooldown: ProviderCooldown, indicators: HealthIndicators) {
    indicators.register({
      name: 'models',
      decides: false,
      report: async () => {
        const model = await llm.defaultModel();
        if (model === null) return { status: 'down', reason: 'no model is configured' };
        const cooling = cooldown.coolingHere();
        if (cooling.length > 0)
          return { status: 'degraded', reason: `cooling: ${cooling.join(', ')}`, default_model: model };
        return { status: 'up', default_model: model };
      },
    });
  }
}
