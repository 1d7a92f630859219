import { Module } from '@nestjs/common';
import { RedisModule } from '../../platform/redis/index.js';
import { LlmModule } from '../llm/index.js';
import { ToolsModule } from '../tools/index.js';
import { AgentRecords } from './agent-records.js';
import { AgentWork } from './agent-work.js';
import { AGENT_TOOLS } from './agent-tools.js';
import { AgentsController } from './agents.controller.js';
import { AgentsRepository } from './agents.repository.js';
import { AgentsService } from './agents.service.js';

/** Agent records and the tools that work with them. Words: docs/glossary.md. */
@Module({
  imports: [RedisModule, LlmModule, ToolsModule],
  controllers: [AgentsController],
  providers: [AgentsRepository, AgentRecords, AgentWork, AgentsService, ...AGENT_TOOLS],
  exports: [AgentsService, AgentWork],
})
export class AgentsModule {}
