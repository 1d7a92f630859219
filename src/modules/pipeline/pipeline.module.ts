import { Module } from '@nestjs/common';
import { AgentsModule, StartedByTools } from '../agents/index.js';
import { AuthModule } from '../auth/index.js';
import { LlmModule } from '../llm/index.js';
import { PodsModule } from '../pods/index.js';
import { ToolRegistry, ToolsModule } from '../tools/index.js';
import { PIPELINE_CONTROLLERS, PIPELINE_VIEWS } from './http/pipeline-http.js';
import { HumanReview } from './human-review.js';
import { IdempotencyRepository } from '../../platform/idempotency/index.js';
import { JournalRepository } from './journal.repository.js';
import { PipelineBackground } from './pipeline.background.js';
import { PipelineCommands } from './pipeline.commands.js';
import { PipelineExecutor } from './pipeline.executor.js';
import { PipelineReaper } from './pipeline.reaper.js';
import { PipelineRetention } from './pipeline.retention.js';
import { PipelineService } from './pipeline.service.js';
import { PipelineWorker } from './pipeline.worker.js';
import { pipelineTools } from './platform-tools.js';
import { StageRunner } from './stage-runner.js';
import { PipelineSubmission } from './submission.js';
import { TaskAdminRepository } from './task-admin.repository.js';
import { TaskEventPublisher } from './task-event-publisher.js';
import { TaskMovesRepository } from './task-moves.repository.js';
import { TaskQueueRepository } from './task-queue.repository.js';
import { TaskSpendsRepository } from './task-spends.repository.js';
import { TaskRunsRepository } from './task-runs.repository.js';
import { TaskTrees } from './task-trees.js';
import { PipelineViews } from './views/pipeline-views.service.js';
import { WorkersRepository } from './workers.repository.js';

/** The Quartet: tasks, their stages, the queue that workers serve, and the gates where people decide. */
@Module({
  imports: [AuthModule, LlmModule, ToolsModule, AgentsModule, PodsModule],
  controllers: PIPELINE_CONTROLLERS,
  providers: [
    ...PIPELINE_VIEWS,
    { provide: PipelineCommands, useClass: PipelineService },
    HumanReview,
    IdempotencyRepository,
    JournalRepository,
    TaskSpendsRepository,
    PipelineBackground,
    PipelineExecutor,
    PipelineReaper,
    PipelineRetention,
    PipelineSubmission,
    PipelineWorker,
    StageRunner,
    TaskAdminRepository,
    TaskEventPublisher,
    TaskMovesRepository,
    TaskQueueRepository,
    TaskRunsRepository,
    TaskTrees,
    WorkersRepository,
  ],
  exports: [PipelineBackground],
})
export class PipelineModule {
  constructor(registry: ToolRegistry, commands: PipelineCommands, views: PipelineViews, started: StartedByTools) {
    for (const tool of pipelineTools(commands, views, started)) registry.register(tool);
  }
}
