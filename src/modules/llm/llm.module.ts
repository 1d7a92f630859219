import { Module } from '@nestjs/common';
import { RedisModule } from '../../platform/redis/index.js';
import { LlmService } from './llm.service.js';
import { LearntOptionsRepository } from './learnt-options.repository.js';
import { ModelAttempts } from './model-attempts.js';
import { ModelCapabilities } from './model-capabilities.js';
import { ModelsController } from './models.controller.js';
import { ModelsIndicator } from './models.indicator.js';
import { OfferedModels } from './offered-models.js';
import { ProviderCooldown } from './provider-cooldown.js';
import { ProviderLlmService } from './provider-llm.service.js';
import { ModelProviders } from './providers/model-providers.js';

/** Model providers, their prices, and the chain of models that a call tries. Words: docs/glossary.md. */
@Module({
  imports: [RedisModule],
  controllers: [ModelsController],
  providers: [
    LearntOptionsRepository,
    ModelAttempts,
    ModelCapabilities,
    ModelProviders,
    ModelsIndicator,
    OfferedModels,
    ProviderCooldown,
    { provide: LlmService, useClass: ProviderLlmService },
  ],
  exports: [LlmService],
})
export class LlmModule {}
