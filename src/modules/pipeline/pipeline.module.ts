import { Module } from '@nestjs/common';
import { RedisModule } from '../../platform/redis/index.js';
import { StorageModule } from '../../platform/storage/index.js';
import { AgentsModule } from '../agents/index.js';
import { ToolsModule, TreeSweeper } from '../tools/index.js';
import { AuthModule } from '../auth/index.js';
import { LlmModule } from '../llm/index.js';
import { TasksModule } from '../tasks/index.js';
import { PodsModule, PodTasks } from '../pods/index.js';
import { ReviewService } from './commands/review.service.js';
import { IdempotencyRepository } from '../../platform/idempotency/index.js';
import { DataMarkKeyRepository } from './store/data-mark-key.repository.js';
import { JournalRepository } from './store/journal.repository.js';
import { TaskExecutor } from './run/task-executor.js';
import { PipelineReaper } from './worker/pipeline.reaper.js';
import { PipelineRetention } from './worker/pipeline.retention.js';
import { TaskCommandsService } from './commands/task-commands.service.js';
import { PipelineConsumer } from './worker/pipeline.consumer.js';
import { EndedCauses } from './commands/ended-causes.js';
import { TASK_TOOLS } from './commands/task.tools.js';
import { StageRunner } from './run/stage-runner.js';
import { SubmitService } from './commands/submit.service.js';
import { TaskAdminRepository } from './store/task-admin.repository.js';
import { TaskEventPublisher } from './store/task-event-publisher.js';
import { TransitionsRepository } from './store/transitions.repository.js';
import { TaskQueueRepository } from './store/task-queue.repository.js';
import { TaskSpendsRepository } from './store/task-spends.repository.js';
import { LoadedTasksRepository } from './store/loaded-tasks.repository.js';
import { TaskTrees } from './run/task-trees.js';
import { NotificationFeed } from './http/notification-feed.js';
import { PipelineChangesController } from './http/pipeline-changes.controller.js';
import { PipelineEventsController } from './http/pipeline-events.controller.js';
import { PipelineQueueController } from './http/pipeline-queue.controller.js';
import { PipelineTaskPartsController } from './http/pipeline-task-parts.controller.js';
import { PipelineTasksController } from './http/pipeline-tasks.controller.js';
import { TaskEventFeed } from './http/task-event-feed.js';
import { TaskChanges } from './views/task-changes.service.js';
import { PipelineViews } from './views/pipeline-views.service.js';
import { QueueViewsRepository } from './views/queue-views.repository.js';
import { TaskEventsRepository } from './views/task-events.repository.js';
import { TaskPartsRepository } from './views/task-parts.repository.js';
import { TaskViewsRepository } from './views/task-views.repository.js';
import { WorkersRepository } from './store/workers.repository.js';

/** The Quartet: tasks, their stages, the queue that workers serve, and the gates where people decide. Words: docs/glossary.md. */
@Module({
  imports: [RedisModule, StorageModule, AuthModule, LlmModule, ToolsModule, AgentsModule, TasksModule, PodsModule],
  controllers: [
    PipelineTasksController,
    PipelineTaskPartsController,
    PipelineChangesController,
    PipelineEventsController,
    PipelineQueueController,
  ],
  providers: [
    TaskViewsRepository,
    TaskPartsRepository,
    TaskEventsRepository,
    QueueViewsRepository,
    PipelineViews,
    TaskChanges,
    TaskEventFeed,
    NotificationFeed,
    TaskCommandsService,
    EndedCauses,
    ReviewService,
    IdempotencyRepository,
    DataMarkKeyRepository,
    JournalRepository,
    TaskSpendsRepository,
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
    ...TASK_TOOLS,
  ],
})
export class PipelineModule {
  constructor(podTasks: PodTasks, trees: TreeSweeper, tasks: TaskAdminRepository) {
    podTasks.serve(tasks);
    trees.serve((names) => tasks.fates(names));
  }
}
