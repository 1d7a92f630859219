import {
  IsBoolean,
  IsIn,
  IsNumber,
  IsObject,
  IsOptional,
  IsString,
  Length,
  Max,
  MaxLength,
  Min,
} from 'class-validator';
import {
  IgnoresReadOnly,
  MaxCharacters,
  MaxJsonBytes,
  MayBeOmitted,
  TextList,
  WholeNumber,
} from '../../platform/http/index.js';
import {
  ESCALATION_THRESHOLDS,
  HUMAN_REVIEWS,
  POD_NETWORKS,
  POD_SANDBOXES,
  REVIEW_BYS,
  type EscalationThreshold,
  type HumanReview,
  type PodNetwork,
  type PodSandbox,
  type PodSettings,
  type ReviewBy,
} from './pod.js';
import type { PodDetailDto } from './pod.dto.js';

/** Changes of a pod: fields that are left out stay as they are. */
@IgnoresReadOnly<PodDetailDto>('id', 'is_system_default', 'active_agent_count', 'created_at', 'updated_at', 'agents')
export class UpdatePodDto {
  /** Unique. */
  @MayBeOmitted()
  @IsString()
  @Length(1, 100)
  @MaxCharacters(100)
  name?: string;

  @MayBeOmitted()
  @IsString()
  @MaxLength(2_000)
  description?: string;

  /** Whether it takes new tasks. */
  @MayBeOmitted()
  @IsBoolean()
  enabled?: boolean;

  /** Model of agents that name none; null is the service's default. */
  @IsOptional()
  @IsString()
  @Length(1, 200)
  default_model?: string | null;

  /** USD a task may cost; null is no limit. */
  @IsOptional()
  @IsNumber()
  @Min(0.000001)
  @Max(1_000_000)
  max_cost_usd?: number | null;

  /** Seconds a task may spend inside stages. */
  @MayBeOmitted()
  @WholeNumber(1, 86_400)
  max_execution_seconds?: number;

  /** Who decides at a gate. */
  @MayBeOmitted()
  @IsIn(REVIEW_BYS)
  review_by?: ReviewBy;

  /** Whether sandboxed commands reach the network. */
  @MayBeOmitted()
  @IsIn(POD_NETWORKS)
  network?: PodNetwork;

  /** When a person decides before a task completes. */
  @MayBeOmitted()
  @IsIn(HUMAN_REVIEWS)
  require_human_review?: HumanReview;

  /** Findings of this severity and above need a decision. */
  @MayBeOmitted()
  @IsIn(ESCALATION_THRESHOLDS)
  escalation_threshold?: EscalationThreshold;

  /** `host` needs a service started with SHELL_SANDBOX=host. */
  @MayBeOmitted()
  @IsIn(POD_SANDBOXES)
  sandbox?: PodSandbox;

  @MayBeOmitted()
  @TextList({ maxItems: 50, maxLength: 100 })
  routing_keywords?: string[];

  /** At most 16 KiB as JSON. */
  @MayBeOmitted()
  @IsObject()
  @MaxJsonBytes(16_384)
  metadata?: Record<string, unknown>;

  toPatch(): Partial<PodSettings> {
    return {
      name: this.name,
      description: this.description,
      enabled: this.enabled,
      defaultModel: this.default_model,
      maxCostUsd: this.max_cost_usd,
      maxExecutionSeconds: this.max_execution_seconds,
      reviewBy: this.review_by,
      network: this.network,
      requireHumanReview: this.require_human_review,
      escalationThreshold: this.escalation_threshold,
      sandbox: this.sandbox,
      routingKeywords: this.routing_keywords,
      metadata: this.metadata,
    };
  }
}
