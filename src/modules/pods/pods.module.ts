import { Module } from '@nestjs/common';
import { ToolsModule } from '../tools/index.js';
import { PodAgentsController } from './pod-agents.controller.js';
import { PodAgentsRepository } from './pod-agents.repository.js';
import { PodsController } from './pods.controller.js';
import { PodsRepository } from './pods.repository.js';
import { PodTasks } from './pod-tasks.js';
import { PodsService } from './pods.service.js';

/** The teams that pipeline tasks run through. Words: docs/glossary.md. */
@Module({
  imports: [ToolsModule],
  controllers: [PodsController, PodAgentsController],
  providers: [PodsRepository, PodAgentsRepository, PodTasks, PodsService],
  exports: [PodsService, PodTasks],
})
export class PodsModule {}
