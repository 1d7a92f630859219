import { Allow, IsBoolean, IsIn, IsNumber, IsOptional, IsString, Length, Max, MaxLength, Min } from 'class-validator';
import { IgnoresReadOnly, MaxCharacters, MayBeOmitted, TextList, WholeNumber } from '../../platform/http/index.js';
import { ON_FAILURES, POD_ROLES, type OnFailure, type PodAgentSettings, type PodRole } from './pod.js';
import type { PodAgentDto } from './pod-agent.dto.js';
import { RunConditionDto } from './run-condition.dto.js';
import { conditionOf } from './run-condition.js';

/** Changes of a pod agent: fields that are left out stay as they are. The result is what must be valid. */
@IgnoresReadOnly<PodAgentDto>('id', 'pod_id', 'created_at', 'updated_at')
export class UpdatePodAgentDto {
  @MayBeOmitted()
  @IsString()
  @Length(1, 100)
  @MaxCharacters(100)
  name?: string;

  /** What it does; one of each in a pod. */
  @MayBeOmitted()
  @IsIn(POD_ROLES)
  role?: PodRole;

  @MayBeOmitted()
  @IsString()
  @MaxLength(2_000)
  description?: string;

  /** Whether tasks submitted from now on have it. */
  @MayBeOmitted()
  @IsBoolean()
  enabled?: boolean;

  /** Its place in the pod's order, unique there. */
  @MayBeOmitted()
  @WholeNumber(0, 1_000)
  position?: number;

  /** Neighbours of the same group run together; they may hold no writing tool. */
  @IsOptional()
  @IsString()
  @Length(1, 100)
  parallel_group?: string | null;

  /** Null is the pod's default model. */
  @IsOptional()
  @IsString()
  @Length(1, 200)
  model?: string | null;

  /** Tried in order when the model fails. */
  @MayBeOmitted()
  @TextList({ maxItems: 10, maxLength: 200 })
  fallback_models?: string[];

  /** Null is not sent to the model, which then uses its own. */
  @IsOptional()
  @IsNumber()
  @Min(0)
  @Max(2)
  temperature?: number | null;

  /** Tokens of one answer; null is not sent to the model, which then ends where it wants to. */
  @IsOptional()
  @WholeNumber(1, 1_000_000)
  max_tokens?: number | null;

  /** Seconds one stage may take. */
  @MayBeOmitted()
  @WholeNumber(1, 86_400)
  timeout_seconds?: number;

  /** Re-runs that its verdict may cause. */
  @MayBeOmitted()
  @WholeNumber(0, 10)
  max_retries?: number;

  /** Replaces the role's own instructions. Null or blank: the role's own. The service's rules for data and answers follow either. */
  @IsOptional()
  @IsString()
  @MaxLength(100_000)
  system_prompt?: string | null;

  /** Names or groups of tools it may use; null is every tool, an empty list is none. */
  @IsOptional()
  @TextList({ maxItems: 200, maxLength: 200, pattern: /^[A-Za-z0-9_.:/-]+$/ })
  allowed_tools?: string[] | null;

  /** What a failed stage leads to; `skip` is for the context agent only. */
  @MayBeOmitted()
  @IsIn(ON_FAILURES)
  on_failure?: OnFailure;

  /** Null is always. */
  @Allow()
  run_condition?: RunConditionDto | null;

  /** Type of the artifact made of its output. */
  @IsOptional()
  @IsString()
  @Length(1, 100)
  artifact_type?: string | null;

  /** What lists cut: these fields are left as they are, since the text that was read was not whole. */
  @MayBeOmitted()
  @TextList({ maxItems: 20, maxLength: 100 })
  truncated?: string[];

  /** @throws DomainError validation_failed when the run condition is not one. */
  toPatch(): Partial<PodAgentSettings> {
    return {
      name: this.name,
      role: this.role,
      description: this.description,
      enabled: this.enabled,
      position: this.position,
      parallelGroup: this.parallel_group,
      model: this.model,
      fallbackModels: this.fallback_models,
      temperature: this.temperature,
      maxTokens: this.max_tokens,
      timeoutSeconds: this.timeout_seconds,
      maxRetries: this.max_retries,
      systemPrompt: this.truncated?.includes('system_prompt') ? undefined : this.system_prompt,
      allowedTools: this.allowed_tools,
      onFailure: this.on_failure,
      runCondition: this.run_condition === undefined ? undefined : conditionOf(this.run_condition),
      artifactType: this.artifact_type,
    };
  }
}
