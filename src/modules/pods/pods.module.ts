import { Module } from '@nestjs/common';
import { ToolsModule } from '../tools/index.js';
import { PodAgentsController } from './pod-agents.controller.js';
import { PodAgentsRepository } from './pod-agents.repository.js';
import { PodsController } from './pods.controller.js';
import { PodsRepository } from './pods.repository.js';
import { PodsService } from './pods.service.js';

/** The teams that pipeline tasks run through. Words: docs/glossary.md. */
@Module({
  imports: [ToolsModule],
  controllers: [PodsController, PodAgentsController],
  providers: [PodsRepository, PodAgentsRepository, PodsService],
  exports: [PodsService],
})
export class PodsModule {}
