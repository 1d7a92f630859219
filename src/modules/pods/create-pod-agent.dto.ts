import { Allow, IsBoolean, IsIn, IsNumber, IsOptional, IsString, Length, Max, MaxLength, Min } from 'class-validator';
import { MaxCharacters, MayBeOmitted, TextList, WholeNumber, type PatchFields } from '../../platform/http/index.js';
import { ON_FAILURES, type NewPodAgent, type OnFailure, type PodAgentSettings } from './pod.js';
import { POD_ROLES, type PodRole } from './roles.js';
import { RunConditionDto } from './run-condition.dto.js';
import { conditionOf } from './run-condition.js';

/** A new member of a pod. */
export class CreatePodAgentDto {
  @IsString()
  @Length(1, 100)
  @MaxCharacters(100)
  name: string;

  /** Place in the pipeline; each role at most once in a pod. */
  @IsIn(POD_ROLES)
  role: PodRole;

  @MayBeOmitted()
  @IsString()
  @MaxLength(2_000)
  description?: string = '';

  /** Whether tasks submitted from now on have it. */
  @MayBeOmitted()
  @IsBoolean()
  enabled?: boolean = true;

  /** Its place in the pod's order, unique there; by default the next free one. */
  @MayBeOmitted()
  @WholeNumber(0, 1_000)
  position?: number;

  /** Neighbours of the same group run together; they may hold no writing tool. */
  @IsOptional()
  @IsString()
  @Length(1, 100)
  parallel_group?: string | null = null;

  /** Null is the pod's default model. */
  @IsOptional()
  @IsString()
  @Length(1, 200)
  model?: string | null = null;

  /** Tried in order when the model fails. */
  @MayBeOmitted()
  @TextList({ maxItems: 10, maxLength: 200 })
  fallback_models?: string[] = [];

  /** Null is not sent to the model, which then uses its own. */
  @IsOptional()
  @IsNumber()
  @Min(0)
  @Max(2)
  temperature?: number | null = 0.3;

  /** Tokens of one answer; null is not sent to the model, which then ends where it wants to. */
  @IsOptional()
  @WholeNumber(1, 1_000_000)
  max_tokens?: number | null = 4_096;

  /** Seconds one stage may take. */
  @MayBeOmitted()
  @WholeNumber(1, 86_400)
  timeout_seconds?: number = 120;

  /** Re-runs that its verdict may cause. */
  @MayBeOmitted()
  @WholeNumber(0, 10)
  max_retries?: number = 2;

  /** Replaces the role's own instructions. Null or blank: the role's own. The service's rules for data and answers follow either. */
  @IsOptional()
  @IsString()
  @MaxLength(100_000)
  system_prompt?: string | null = null;

  /** Names or groups of tools it may use; null is every tool, an empty list is none. */
  @IsOptional()
  @TextList({ maxItems: 200, maxLength: 200, pattern: /^[A-Za-z0-9_.:/-]+$/ })
  allowed_tools?: string[] | null = null;

  /** Consequence of a failed stage; `skip` is for the context agent only. */
  @MayBeOmitted()
  @IsIn(ON_FAILURES)
  on_failure?: OnFailure = 'abort';

  /** Null is always. */
  @Allow()
  run_condition?: RunConditionDto | null = null;

  /** Type of the artifact made of its output. */
  @IsOptional()
  @IsString()
  @Length(1, 100)
  artifact_type?: string | null = null;

  /** @throws DomainError validation_failed when the run condition is not one. */
  toSettings(): NewPodAgent {
    // Validated, so that the required fields are there; the others have their defaults.
    return podAgentSettingsOf(this) as NewPodAgent;
  }
}

/**
 * The settings that `fields` name; absent ones are undefined.
 * @throws DomainError validation_failed when the run condition is not one.
 */
export function podAgentSettingsOf(fields: PatchFields<CreatePodAgentDto>): Partial<PodAgentSettings> {
  return {
    name: fields.name,
    role: fields.role,
    description: fields.description,
    enabled: fields.enabled,
    position: fields.position,
    parallelGroup: fields.parallel_group,
    model: fields.model,
    fallbackModels: fields.fallback_models,
    temperature: fields.temperature,
    maxTokens: fields.max_tokens,
    timeoutSeconds: fields.timeout_seconds,
    maxRetries: fields.max_retries,
    systemPrompt: fields.system_prompt,
    allowedTools: fields.allowed_tools,
    onFailure: fields.on_failure,
    runCondition: fields.run_condition === undefined ? undefined : conditionOf(fields.run_condition),
    artifactType: fields.artifact_type,
  };
}
