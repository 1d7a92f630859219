import { Module } from '@nestjs/common';
import { IdempotencyRepository } from '../../platform/idempotency/index.js';
import { AgentsModule } from '../agents/index.js';
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

/**
 * A *turn* is one answer of an agent: its rounds with the model and the tools between them. It runs in the process that took
 * it; its *log* holds the events that readers get, and its result is stored. Over HTTP turns are called tasks.
 */
@Module({
  imports: [LlmModule, ToolsModule, AgentsModule],
  controllers: [TasksController],
  providers: [IdempotencyRepository, TurnsRepository, TurnRunner, TurnRelay, TurnFeed, TurnsService, TurnsReaper],
  exports: [TurnsService, TurnsReaper],
})
export class TasksModule {
  constructor(registry: ToolRegistry, started: StartedWorkRepository, turns: TurnsService) {
    registry.register(new SendMessageTool(started, turns));
  }
}
