import { ApiProperty } from '@nestjs/swagger';
import type { EventType } from '../store/transition.js';
import type { TaskEventView } from '../views/task-events.repository.js';
import type { Notification, NotifiedType } from './notification.js';

/** Something that happened to a task. */
export class PipelineEventDto {
  /** Counts the task's events from 1. */
  @ApiProperty({ type: 'integer' })
  seq: number;
  type: EventType;
  @ApiProperty({ format: 'uuid' })
  task_id: string;
  at: Date;
  data: Record<string, unknown>;

  static from(event: TaskEventView): PipelineEventDto {
    return { seq: event.seq, type: event.type, task_id: event.taskId, at: event.at, data: event.data };
  }
}

/** A notification about a task. */
export class PipelineNotificationDto {
  type: NotifiedType;
  @ApiProperty({ format: 'uuid' })
  task_id: string;
  title: string;
  body: string;
  timestamp: Date;

  static from(notification: Notification): PipelineNotificationDto {
    return {
      type: notification.type,
      task_id: notification.taskId,
      title: notification.title,
      body: notification.body,
      timestamp: notification.at,
    };
  }
}
