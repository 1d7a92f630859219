import { ApiProperty } from '@nestjs/swagger';
import type { TaskOutput, TaskSummary } from '../store/transition.js';
import type { GateKind } from '../rules/task-control.js';
import type { Role, TaskStatus } from '../rules/task-status.js';
import { cutForList } from '../../../platform/http/index.js';
import { outputText } from './output-text.js';
import type { OpenGateView, TaskDetailView, TaskView, WaitingFor } from '../views/task-view.js';

/** The point where a person must decide. */
export class OpenGateDto {
  @ApiProperty({ format: 'uuid' })
  gate_id: string;
  kind: GateKind;
  reason: string;
  since: Date;
  /** Covers what a reviewer is shown. */
  content_hash: string;
  /** Subject of the decision, for example the money spent or the files in conflict. */
  details: Record<string, unknown>;

  static from(gate: OpenGateView): OpenGateDto {
    return {
      gate_id: gate.gateId,
      kind: gate.kind,
      reason: gate.reason,
      since: gate.since,
      content_hash: gate.contentHash,
      details: gate.details,
    };
  }
}

/** Result of a complete task, part by part. */
export class PipelineResultDto {
  output: string;
  explanation: string;
  files_changed: string[];
  commands_run: string[];

  static from(output: TaskOutput): PipelineResultDto {
    return {
      output: output.output,
      explanation: output.explanation,
      files_changed: output.files_changed,
      commands_run: output.commands_run,
    };
  }
}

type ReviewVerdict = NonNullable<TaskSummary['review_verdict']>;

/** Summary of the work in words and figures. */
export class PipelineSummaryDto {
  headline: string;
  files_modified: string[];
  commands_run: string[];
  @ApiProperty({ type: 'integer' })
  findings_count: number;
  /** Of the last code review; null when there was none. */
  review_verdict: ReviewVerdict | null;
  cost_usd: number;
  /** Seconds inside stages. */
  duration_s: number;

  static from(summary: TaskSummary): PipelineSummaryDto {
    return {
      headline: summary.headline,
      files_modified: summary.files_modified,
      commands_run: summary.commands_run,
      findings_count: summary.findings_count,
      review_verdict: summary.review_verdict,
      cost_usd: summary.cost_usd,
      duration_s: summary.duration_s,
    };
  }
}

/** A task: one request through one pod. */
export class PipelineTaskDto {
  @ApiProperty({ format: 'uuid' })
  id: string;
  status: TaskStatus;
  /** Null once the pod is deleted. */
  @ApiProperty({ format: 'uuid' })
  pod_id: string | null;
  pod_name: string;
  user_input: string;
  /** `result` as one text in Markdown: the output, then explanation, files changed and commands run. Null until the task is complete. */
  output: string | null;
  /** Null until the task is complete. */
  result: PipelineResultDto | null;
  /** Why it failed or was rejected. */
  error: string | null;
  /** More about the error; `code` names its kind. */
  error_context: Record<string, unknown> | null;
  /** The stage that runs, runs next, or ran last. */
  current_stage: Role | null;
  /** How often a worker has taken the task. */
  @ApiProperty({ type: 'integer' })
  attempt: number;
  /** Stage re-runs after errors. */
  @ApiProperty({ type: 'integer' })
  retry_count: number;
  @ApiProperty({ type: 'integer' })
  max_retries: number;
  @ApiProperty({ type: 'integer' })
  priority: number;
  /** The open gate; null unless a person must decide. */
  review: OpenGateDto | null;
  created_at: Date;
  queued_at: Date;
  started_at: Date | null;
  completed_at: Date | null;
  updated_at: Date;
  last_heartbeat_at: Date | null;
  metadata: Record<string, unknown>;
  /** Null until the task is complete. */
  summary: PipelineSummaryDto | null;
  @ApiProperty({ type: 'integer' })
  total_input_tokens: number;
  /** Of the input tokens, those that a provider read from its cache. */
  @ApiProperty({ type: 'integer' })
  total_cached_input_tokens: number;
  @ApiProperty({ type: 'integer' })
  total_output_tokens: number;
  total_cost_usd: number;

  static from(task: TaskView): PipelineTaskDto {
    return {
      id: task.id,
      status: task.status,
      pod_id: task.podId,
      pod_name: task.podName,
      user_input: task.userInput,
      output: task.output && outputText(task.output),
      result: task.output && PipelineResultDto.from(task.output),
      error: task.error,
      error_context: task.errorContext,
      current_stage: task.currentStage,
      attempt: task.attempt,
      retry_count: task.retryCount,
      max_retries: task.maxRetries,
      priority: task.priority,
      review: task.review && OpenGateDto.from(task.review),
      created_at: task.createdAt,
      queued_at: task.queuedAt,
      started_at: task.startedAt,
      completed_at: task.completedAt,
      updated_at: task.updatedAt,
      last_heartbeat_at: task.lastHeartbeatAt,
      metadata: task.metadata,
      summary: task.summary && PipelineSummaryDto.from(task.summary),
      total_input_tokens: task.totalInputTokens,
      total_cached_input_tokens: task.totalCachedInputTokens,
      total_output_tokens: task.totalOutputTokens,
      total_cost_usd: task.totalCostUsd,
    };
  }
}

/** A task in a list, with its long texts cut at 2 000 characters. */
export class ListedPipelineTaskDto extends PipelineTaskDto {
  /** The fields whose texts were cut. */
  truncated: string[];

  static override from(task: TaskView): ListedPipelineTaskDto {
    const listed = cutForList(PipelineTaskDto.from(task), ['user_input', 'output', 'error']);
    if (listed.result === null) return listed;
    const { truncated, ...result } = cutForList(listed.result, [
      'output',
      'explanation',
      'files_changed',
      'commands_run',
    ]);
    if (truncated.length > 0) listed.truncated.push('result');
    return Object.assign(listed, { result });
  }
}

type WaitingReason = WaitingFor['reason'];

/** Why a task does not move. */
export class WaitingForDto {
  reason: WaitingReason;
  /** Place in the queue, 1 is next; counted up to 1 000. */
  @ApiProperty({
    oneOf: [
      { type: 'integer', minimum: 1 },
      { type: 'string', enum: ['>1000'] },
    ],
    required: false,
  })
  position?: number | '>1000';
  /** When it will be tried again. */
  until?: Date;
  /** The gate that a person must decide. */
  @ApiProperty({ format: 'uuid' })
  gate_id?: string;
  /** The provider that does not take work now. */
  provider?: string;

  static from(waiting: WaitingFor): WaitingForDto {
    switch (waiting.reason) {
      case 'review':
        return { reason: waiting.reason, gate_id: waiting.gateId };
      case 'provider':
        return {
          reason: waiting.reason,
          until: waiting.until,
          ...(waiting.provider === null ? {} : { provider: waiting.provider }),
        };
      default:
        return waiting;
    }
  }
}

/** A task with everything that says where it stands. */
export class PipelineTaskDetailDto extends PipelineTaskDto {
  /** The newest finished output of each stage, by role; without the task stage's until the task is complete. */
  checkpoint: Record<string, unknown>;
  @ApiProperty({ type: 'integer' })
  findings_count: number;
  @ApiProperty({ type: 'integer' })
  reviews_count: number;
  /** Artifacts that the caller may see. */
  @ApiProperty({ type: 'integer' })
  artifacts_count: number;
  /** Why the task does not move; null while it does, and when it has ended. */
  waiting_for: WaitingForDto | null;

  static override from(task: TaskDetailView): PipelineTaskDetailDto {
    return Object.assign(PipelineTaskDto.from(task), {
      checkpoint: task.checkpoint,
      findings_count: task.findingsCount,
      reviews_count: task.reviewsCount,
      artifacts_count: task.artifactsCount,
      waiting_for: task.waitingFor && WaitingForDto.from(task.waitingFor),
    });
  }
}

/** A task that was accepted: it is durable. */
export class SubmittedPipelineTaskDto {
  @ApiProperty({ format: 'uuid' })
  task_id: string;
  /** `queued`, or where the task is now when the Idempotency-Key was used before. */
  status: TaskStatus;
  pod_name: string;
  queued_at: Date;
}

/** A task and where a command has put it. */
export class MovedPipelineTaskDto {
  @ApiProperty({ format: 'uuid' })
  task_id: string;
  status: TaskStatus;
}

type DecisionName = 'approve' | 'reject';

/** A task after a person's decision. */
export class ReviewedPipelineTaskDto extends MovedPipelineTaskDto {
  decision: DecisionName;
}

/** Result of a deletion. */
export class DeletedPipelineTasksDto {
  @ApiProperty({ type: 'integer' })
  deleted: number;
  statuses: TaskStatus[];
}
