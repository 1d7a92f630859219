import { Module } from '@nestjs/common';
import { HealthModule } from '../../platform/health/index.js';
import { RedisModule } from '../../platform/redis/index.js';
import { IdempotencyRepository } from '../../platform/idempotency/index.js';
import { StorageModule } from '../../platform/storage/index.js';
import { AgentsModule, AgentWork } from '../agents/index.js';
import { ToolsModule, TreeSweeper } from '../tools/index.js';
import { LlmModule } from '../llm/index.js';
import { SendMessageTool } from './send-message.tool.js';
import { TasksController } from './http/tasks.controller.js';
import { TurnFeed } from './stream/turn-feed.js';
import { TurnRelay } from './stream/turn-relay.js';
import { AuthModule } from '../auth/index.js';
import { TurnEnds } from './turn-ends.js';
import { TurnRunner } from './turn-runner.js';
import { TurnsReaper } from './turns.reaper.js';
import { TurnsRepository } from './turns.repository.js';
import { TurnsService } from './turns.service.js';

/** Turns of agents, served as `/api/v1/tasks`. Words: docs/glossary.md. */
@Module({
  imports: [HealthModule, RedisModule, StorageModule, AuthModule, LlmModule, ToolsModule, AgentsModule],
  controllers: [TasksController],
  providers: [
    IdempotencyRepository,
    TurnsRepository,
    TurnEnds,
    TurnRunner,
    TurnRelay,
    TurnFeed,
    TurnsService,
    TurnsReaper,
    SendMessageTool,
  ],
  exports: [TurnEnds, TurnsService],
})
export class TasksModule {
  constructor(work: AgentWork, trees: TreeSweeper, stored: TurnsRepository) {
    work.serve(stored);
    trees.serve((names) => stored.fates(names));
  }
}
