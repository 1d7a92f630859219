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
import { MaxCharacters, MaxJsonBytes, MayBeOmitted, TextList, WholeNumber } from '../../platform/http/index.js';
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

/** A new pod. */
export class CreatePodDto {
  /** Unique. */
  @IsString()
  @Length(1, 100)
  @MaxCharacters(100)
  name: string;

  @MayBeOmitted()
  @IsString()
  @MaxLength(2_000)
  description?: string = '';

  /** Whether it takes new tasks. */
  @MayBeOmitted()
  @IsBoolean()
  enabled?: boolean = true;

  /** Model of agents that name none; null is the service's default. */
  @IsOptional()
  @IsString()
  @Length(1, 200)
  default_model?: string | null = null;

  /** USD a task may cost; null is no limit. */
  @IsOptional()
  @IsNumber()
  @Min(0.000001)
  @Max(1_000_000)
  max_cost_usd?: number | null = null;

  /** Seconds a task may spend inside stages. */
  @MayBeOmitted()
  @WholeNumber(1, 86_400)
  max_execution_seconds?: number = 1_800;

  /** Who decides at a gate. */
  @MayBeOmitted()
  @IsIn(REVIEW_BYS)
  review_by?: ReviewBy = 'owner';

  /** Whether sandboxed commands reach the network. */
  @MayBeOmitted()
  @IsIn(POD_NETWORKS)
  network?: PodNetwork = 'off';

  /** When a person decides before a task completes. */
  @MayBeOmitted()
  @IsIn(HUMAN_REVIEWS)
  require_human_review?: HumanReview = 'on_escalation';

  /** Findings of this severity and above need a decision. */
  @MayBeOmitted()
  @IsIn(ESCALATION_THRESHOLDS)
  escalation_threshold?: EscalationThreshold = 'medium';

  /** `host` needs a service started with SHELL_SANDBOX=host. */
  @MayBeOmitted()
  @IsIn(POD_SANDBOXES)
  sandbox?: PodSandbox = 'workspace';

  @MayBeOmitted()
  @TextList({ maxItems: 50, maxLength: 100 })
  routing_keywords?: string[] = [];

  /** At most 16 KiB as JSON. */
  @MayBeOmitted()
  @IsObject()
  @MaxJsonBytes(16_384)
  metadata?: Record<string, unknown> = {};

  toSettings(): PodSettings {
    const given = this as Required<CreatePodDto>;
    return {
      name: given.name,
      description: given.description,
      enabled: given.enabled,
      defaultModel: given.default_model,
      maxCostUsd: given.max_cost_usd,
      maxExecutionSeconds: given.max_execution_seconds,
      reviewBy: given.review_by,
      network: given.network,
      requireHumanReview: given.require_human_review,
      escalationThreshold: given.escalation_threshold,
      sandbox: given.sandbox,
      routingKeywords: given.routing_keywords,
      metadata: given.metadata,
    };
  }
}
