import type { Provider, Type } from '@nestjs/common';
import { PipelineViews } from '../views/pipeline-views.service.js';
import { QueueViewsRepository } from '../views/queue-views.repository.js';
import { TaskEventsRepository } from '../views/task-events.repository.js';
import { TaskPartsRepository } from '../views/task-parts.repository.js';
import { TaskViewsRepository } from '../views/task-views.repository.js';
import { NotificationFeed } from './notification-feed.js';
import { PipelineEventsController } from './pipeline-events.controller.js';
import { PipelineQueueController } from './pipeline-queue.controller.js';
import { PipelineTaskPartsController } from './pipeline-task-parts.controller.js';
import { PipelineTasksController } from './pipeline-tasks.controller.js';
import { TaskEventFeed } from './task-event-feed.js';

/** The pipeline's routes. They need `PipelineCommands`. */
export const PIPELINE_CONTROLLERS: Type[] = [
  PipelineTasksController,
  PipelineTaskPartsController,
  PipelineEventsController,
  PipelineQueueController,
];

/** What the pipeline's routes read with. */
export const PIPELINE_VIEWS: Provider[] = [
  TaskViewsRepository,
  TaskPartsRepository,
  TaskEventsRepository,
  QueueViewsRepository,
  PipelineViews,
  TaskEventFeed,
  NotificationFeed,
];
