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
  MaxCharacters,
  MaxJsonBytes,
  MayBeOmitted,
  TextList,
  WholeNumber,
  type PatchFields,
} from '../../platform/http/index.js';
import {
  SEVERITIES,
  HUMAN_REVIEWS,
  POD_NETWORKS,
  POD_SANDBOXES,
  REVIEW_BYS,
  type Severity,
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
  @IsIn(SEVERITIES)
  escalation_threshold?: Severity = 'medium';

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
    // Validated, so that the required field is there; the others have their defaults.
    return podSettingsOf(this) as PodSettings;
  }
}

/** The settings that `fields` name; absent ones are undefined. */
export function podSettingsOf(fields: PatchFields<CreatePodDto>): Partial<PodSettings> {
  return {
    name: fields.name,
    description: fields.description,
    enabled: fields.enabled,
    defaultModel: fields.default_model,
    maxCostUsd: fields.max_cost_usd,
    maxExecutionSeconds: fields.max_execution_seconds,
    reviewBy: fields.review_by,
    network: fields.network,
    requireHumanReview: fields.require_human_review,
    escalationThreshold: fields.escalation_threshold,
    sandbox: fields.sandbox,
    routingKeywords: fields.routing_keywords,
    metadata: fields.metadata,
  };
}
