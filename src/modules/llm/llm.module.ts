import { Module } from '@nestjs/common';
import { LlmService } from './llm.service.js';
import { ModelsHealth } from './models-health.js';
import { ProviderCooldown } from './provider-cooldown.js';
import { ProviderLlmService } from './provider-llm.service.js';
import { ModelProviders } from './providers/model-providers.js';

/** Model providers, their prices, and the chain of models that a call tries. Words: docs/glossary.md. */
@Module({
  providers: [ModelProviders, ModelsHealth, ProviderCooldown, { provide: LlmService, useClass: ProviderLlmService }],
  exports: [LlmService],
})
export class LlmModule {}
