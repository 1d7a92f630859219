import { Module } from '@nestjs/common';
import { LlmModule, LlmService } from '../llm/index.js';
import { ToolRegistry, ToolsModule, StartedWorkRepository } from '../tools/index.js';
import { AgentRecords } from './agent-records.js';
import { AgentWork } from './agent-work.js';
import { agentTools } from './agent-tools.js';
import { AgentsBackground } from './agents.background.js';
import { AgentsController } from './agents.controller.js';
import { AgentsRepository } from './agents.repository.js';
import { AgentsService } from './agents.service.js';

/** Agent records and the tools that work with them. Words: docs/glossary.md. */
@Module({
  imports: [LlmModule, ToolsModule],
  controllers: [AgentsController],
  providers: [AgentsRepository, AgentRecords, AgentWork, AgentsService, AgentsBackground, StartedWorkRepository],
  exports: [AgentsService, AgentWork, AgentsBackground, StartedWorkRepository],
})
export class AgentsModule {
  constructor(registry: ToolRegistry, agents: AgentsService, llm: LlmService, started: StartedWorkRepository) {
    for (const tool of agentTools(agents, llm, registry, started)) registry.register(tool);
  }
}
