import { ApiProperty } from '@nestjs/swagger';
import type { FindingType } from '../guardrail/finding.js';
import type { Severity } from '../../pods/index.js';
import { LeftOutToolsDto } from '../../tools/index.js';
import type { Role } from '../rules/task-status.js';
import type { ArtifactView, FindingView, ReviewView, StageView } from '../views/task-parts.repository.js';

type FindingStatus = FindingView['status'];
type Verdict = ReviewView['verdict'];
type StageStatus = StageView['status'];

/** Something the guardrail found. */
export class PipelineFindingDto {
  @ApiProperty({ format: 'uuid' })
  id: string;
  @ApiProperty({ format: 'uuid' })
  task_id: string;
  @ApiProperty({ format: 'uuid' })
  stage_id: string;
  finding_type: FindingType;
  severity: Severity;
  description: string;
  /** Secrets are masked. */
  evidence: string;
  @ApiProperty({ type: 'integer' })
  iteration: number;
  /** Found by rules, not by a model; only a person can clear it. */
  deterministic: boolean;
  status: FindingStatus;
  resolved_by: string | null;
  resolution_notes: string | null;
  created_at: Date;
  resolved_at: Date | null;

  static from(finding: FindingView): PipelineFindingDto {
    return {
      id: finding.id,
      task_id: finding.taskId,
      stage_id: finding.stageId,
      finding_type: finding.findingType,
      severity: finding.severity,
      description: finding.description,
      evidence: finding.evidence,
      iteration: finding.iteration,
      deterministic: finding.deterministic,
      status: finding.status,
      resolved_by: finding.resolvedBy,
      resolution_notes: finding.resolutionNotes,
      created_at: finding.createdAt,
      resolved_at: finding.resolvedAt,
    };
  }
}

/** One issue of a code review. */
export class PipelineReviewIssueDto {
  severity: Severity;
  description: string;
  file: string | null;
  @ApiProperty({ type: 'integer' })
  line: number | null;
  suggestion: string | null;
}

/** The verdict of a code review. */
export class PipelineReviewDto {
  @ApiProperty({ format: 'uuid' })
  id: string;
  @ApiProperty({ format: 'uuid' })
  task_id: string;
  @ApiProperty({ format: 'uuid' })
  stage_id: string;
  @ApiProperty({ type: 'integer' })
  iteration: number;
  verdict: Verdict;
  issues: PipelineReviewIssueDto[];
  summary: string;
  created_at: Date;

  static from(review: ReviewView): PipelineReviewDto {
    return {
      id: review.id,
      task_id: review.taskId,
      stage_id: review.stageId,
      iteration: review.iteration,
      verdict: review.verdict,
      issues: review.issues.map((issue) => ({
        severity: issue.severity,
        description: issue.description,
        file: issue.file ?? null,
        line: issue.line ?? null,
        suggestion: issue.suggestion ?? null,
      })),
      summary: review.summary,
      created_at: review.createdAt,
    };
  }
}

/** Something a stage produced. */
export class PipelineArtifactDto {
  @ApiProperty({ format: 'uuid' })
  id: string;
  @ApiProperty({ format: 'uuid' })
  task_id: string;
  @ApiProperty({ format: 'uuid' })
  stage_id: string | null;
  /** `pending_output` waits for a person's word; only those who may give it see it. */
  artifact_type: string;
  name: string;
  content: string;
  /** SHA-256 of the content, hex. */
  content_hash: string;
  file_path: string | null;
  metadata: Record<string, unknown>;
  created_at: Date;

  static from(artifact: ArtifactView): PipelineArtifactDto {
    return {
      id: artifact.id,
      task_id: artifact.taskId,
      stage_id: artifact.stageId,
      artifact_type: artifact.artifactType,
      name: artifact.name,
      content: artifact.content,
      content_hash: artifact.contentHash,
      file_path: artifact.filePath,
      metadata: artifact.metadata,
      created_at: artifact.createdAt,
    };
  }
}

/** One turn of one agent. */
export class PipelineStageDto {
  @ApiProperty({ format: 'uuid' })
  id: string;
  @ApiProperty({ format: 'uuid' })
  task_id: string;
  role: Role;
  @ApiProperty({ type: 'integer' })
  position: number;
  @ApiProperty({ type: 'integer' })
  attempt: number;
  @ApiProperty({ type: 'integer' })
  iteration: number;
  status: StageStatus;
  /** The model that answered. */
  model: string | null;
  @ApiProperty({ type: 'integer' })
  input_tokens: number;
  /** Of the input tokens, those that a provider read from its cache. */
  @ApiProperty({ type: 'integer' })
  cached_input_tokens: number;
  @ApiProperty({ type: 'integer' })
  output_tokens: number;
  /** Null while the price of the model is not known. */
  cost_usd: number | null;
  /** True when the provider reported no usage and it was estimated. */
  usage_estimated: boolean;
  @ApiProperty({ type: 'integer' })
  duration_ms: number | null;
  /** Null where the model was shown all of its tools, and while the stage runs. */
  tools_left_out: LeftOutToolsDto | null;
  error: string | null;
  started_at: Date;
  completed_at: Date | null;

  static from(stage: StageView): PipelineStageDto {
    return {
      id: stage.id,
      task_id: stage.taskId,
      role: stage.role,
      position: stage.position,
      attempt: stage.attempt,
      iteration: stage.iteration,
      status: stage.status,
      model: stage.model,
      input_tokens: stage.inputTokens,
      cached_input_tokens: stage.cachedInputTokens,
      output_tokens: stage.outputTokens,
      cost_usd: stage.costUsd,
      usage_estimated: stage.usageEstimated,
      duration_ms: stage.durationMs,
      tools_left_out: stage.toolsLeftOut,
      error: stage.error,
      started_at: stage.startedAt,
      completed_at: stage.completedAt,
    };
  }
}
