import { Module } from '@nestjs/common';
import { AgentsModule } from '../agents/index.js';
import { StartedWorkRepository, ToolRegistry, ToolsModule } from '../tools/index.js';
import { AuthModule } from '../auth/index.js';
import { LlmModule } from '../llm/index.js';
import { PodsModule } from '../pods/index.js';
import { PIPELINE_CONTROLLERS, PIPELINE_VIEWS } from './http/pipeline-http.js';
import { ReviewService } from './commands/review.service.js';
import { IdempotencyRepository } from '../../platform/idempotency/index.js';
import { DataMarkKeyRepository } from './store/data-mark-key.repository.js';
import { JournalRepository } from './store/journal.repository.js';
import { PipelineBackground } from './worker/pipeline.background.js';
import { PipelineCommands } from './pipeline.commands.js';
import { TaskExecutor } from './run/task-executor.js';
import { PipelineReaper } from './worker/pipeline.reaper.js';
import { PipelineRetention } from './worker/pipeline.retention.js';
import { PipelineService } from './commands/task-commands.service.js';
import { PipelineConsumer } from './worker/pipeline.consumer.js';
import { pipelineTools } from './commands/task.tools.js';
import { StageRunner } from './run/stage-runner.js';
import { SubmitService } from './commands/submit.service.js';
import { TaskAdminRepository } from './store/task-admin.repository.js';
import { TaskEventPublisher } from './store/task-event-publisher.js';
import { TransitionsRepository } from './store/transitions.repository.js';
import { TaskQueueRepository } from './store/task-queue.repository.js';
import { TaskSpendsRepository } from './store/task-spends.repository.js';
import { LoadedTasksRepository } from './store/loaded-tasks.repository.js';
import { TaskTrees } from './run/task-trees.js';
import { PipelineViews } from './views/pipeline-views.service.js';
import { WorkersRepository } from './store/workers.repository.js';

/** The Quartet: tasks, their stages, the queue that workers serve, and the gates where people decide. */
@Module({
  imports: [AuthModule, LlmModule, ToolsModule, AgentsModule, PodsModule],
  controllers: PIPELINE_CONTROLLERS,
  providers: [
    ...PIPELINE_VIEWS,
    { provide: PipelineCommands, useClass: PipelineService },
    ReviewService,
    IdempotencyRepository,
    DataMarkKeyRepository,
    JournalRepository,
    TaskSpendsRepository,
    PipelineBackground,
    TaskExecutor,
    PipelineReaper,
    PipelineRetention,
    SubmitService,
    PipelineConsumer,
    StageRunner,
    TaskAdminRepository,
    TaskEventPublisher,
    TransitionsRepository,
    TaskQueueRepository,
    LoadedTasksRepository,
    TaskTrees,
    WorkersRepository,
  ],
  exports: [PipelineBackground],
})
export class PipelineModule {
  constructor(
    registry: ToolRegistry,
    commands: PipelineCommands,
    views: PipelineViews,
    started: StartedWorkRepository,
  ) {
    for (const tool of pipelineTools(commands, views, started)) registry.register(tool);
  }
}
