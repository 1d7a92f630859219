import { ApiProperty } from '@nestjs/swagger';
import { cutForList } from '../../../platform/http/index.js';
import { TASK_STATUSES, type Role, type TaskStatus } from '../rules/task-status.js';
import type { DeadLetterView, QueueStatsView } from '../views/queue-views.repository.js';

/** The queue in figures. */
export class PipelineQueueStatsDto {
  /** Tasks that wait for a worker, or for their time. */
  @ApiProperty({ type: 'integer' })
  queue_depth: number;
  @ApiProperty({ type: 'integer' })
  dead_letter_depth: number;
  @ApiProperty({ type: 'integer' })
  running: number;
  @ApiProperty({ type: 'integer' })
  waiting_review: number;
  /** Null while nothing is queued. */
  oldest_queued_seconds: number | null;
  /** Worker processes that live. */
  @ApiProperty({ type: 'integer' })
  workers: number;
  @ApiProperty({
    type: 'object',
    properties: Object.fromEntries(TASK_STATUSES.map((status) => [status, { type: 'integer' as const, minimum: 0 }])),
    required: [...TASK_STATUSES],
    additionalProperties: false,
    selfRequired: true,
  })
  by_status: Record<TaskStatus, number>;

  static from(stats: QueueStatsView): PipelineQueueStatsDto {
    return {
      queue_depth: stats.queueDepth,
      dead_letter_depth: stats.deadLetterDepth,
      running: stats.running,
      waiting_review: stats.waitingReview,
      oldest_queued_seconds: stats.oldestQueuedSeconds,
      workers: stats.workers,
      by_status: stats.byStatus,
    };
  }
}

/** A task that failed for good without a person's word. */
export class DeadLetterDto {
  @ApiProperty({ format: 'uuid' })
  task_id: string;
  reason: string;
  error: string;
  stage: Role | null;
  /** How often a worker had taken the task. */
  @ApiProperty({ type: 'integer' })
  attempts: number;
  pod_name: string;
  user_input: string;
  queued_at: Date;
  dead_at: Date;
  /** The fields whose texts were cut at 2 000 characters. */
  truncated: string[];

  static from(letter: DeadLetterView): DeadLetterDto {
    const dto = {
      task_id: letter.taskId,
      reason: letter.reason,
      error: letter.error,
      stage: letter.stage,
      attempts: letter.attempts,
      pod_name: letter.podName,
      user_input: letter.userInput,
      queued_at: letter.queuedAt,
      dead_at: letter.deadAt,
    };
    return cutForList(dto, ['user_input', 'error']);
  }
}

type Reaped = 'reaped';

/** The reaper has passed once. */
export class ReapedDto {
  status: Reaped;
}
