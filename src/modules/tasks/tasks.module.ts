import { Module } from '@nestjs/common';
import { IdempotencyRepository } from '../../platform/idempotency/index.js';
import { AgentsModule, AgentWork } from '../agents/index.js';
import { StartedWorkRepository, ToolRegistry, ToolsModule } from '../tools/index.js';
import { LlmModule } from '../llm/index.js';
import { SendMessageTool } from './send-message.tool.js';
import { TasksController } from './http/tasks.controller.js';
import { TurnFeed } from './stream/turn-feed.js';
import { TurnRelay } from './stream/turn-relay.js';
import { TurnRunner } from './turn-runner.js';
import { TurnsReaper } from './turns.reaper.js';
import { TurnsRepository } from './turns.repository.js';
import { TurnsService } from './turns.service.js';

/** Turns of agents, served as `/api/v1/tasks`. Words: docs/glossary.md. */
@Module({
  imports: [LlmModule, ToolsModule, AgentsModule],
  controllers: [TasksController],
  providers: [IdempotencyRepository, TurnsRepository, TurnRunner, TurnRelay, TurnFeed, TurnsService, TurnsReaper],
  exports: [TurnsService, TurnsReaper],
})
export class TasksModule {
  constructor(
    registry: ToolRegistry,
    started: StartedWorkRepository,
    turns: TurnsService,
    work: AgentWork,
    stored: TurnsRepository,
  ) {
    work.serve(stored);
    registry.register(new SendMessageTool(started, turns));
  }
}
