import { ApiProperty } from '@nestjs/swagger';
import { LeftOutToolsDto, type OfferedTools } from '../tools/index.js';
import type { OnFailure, PodAgent } from './pod.js';
import type { PodRole } from './roles.js';
import { RunConditionDto } from './run-condition.dto.js';

/** One member of a pod. */
export class PodAgentDto {
  @ApiProperty({ format: 'uuid' })
  id: string;
  @ApiProperty({ format: 'uuid' })
  pod_id: string;
  name: string;
  /** Place in the pipeline; each role at most once in a pod. */
  role: PodRole;
  description: string;
  /** Whether tasks submitted from now on have it. */
  enabled: boolean;
  /** Its place in the pod's order. */
  @ApiProperty({ type: 'integer' })
  position: number;
  /** Neighbours of the same group run together. */
  parallel_group: string | null;
  /** Null is the pod's default model. */
  model: string | null;
  /** Tried in order when the model fails. */
  fallback_models: string[];
  /** Null is not sent to the model. */
  temperature: number | null;
  /** Tokens of one answer; null is not sent to the model. */
  @ApiProperty({ type: 'integer' })
  max_tokens: number | null;
  /** Seconds one stage may take. */
  @ApiProperty({ type: 'integer' })
  timeout_seconds: number;
  /** Re-runs that its verdict may cause. */
  @ApiProperty({ type: 'integer' })
  max_retries: number;
  /** Replaces the role's own instructions. Null or blank: the role's own. The service's rules for data and answers follow either. */
  system_prompt: string | null;
  /** Names or groups of tools it may use; null is every tool. */
  allowed_tools: string[] | null;
  /** Consequence of a failed stage. */
  on_failure: OnFailure;
  /** Null is always. */
  run_condition: RunConditionDto | null;
  /** Type of the artifact made of its output. */
  artifact_type: string | null;
  created_at: Date;
  updated_at: Date;
  /** Tools that its model is not shown from the first; absent when it is shown all, and in answers to changes of the agent. */
  tools_left_out?: LeftOutToolsDto | undefined;

  static from(agent: PodAgent, shelf?: OfferedTools): PodAgentDto {
    return {
      id: agent.id,
      pod_id: agent.podId,
      name: agent.name,
      role: agent.role,
      description: agent.description,
      enabled: agent.enabled,
      position: agent.position,
      parallel_group: agent.parallelGroup,
      model: agent.model,
      fallback_models: agent.fallbackModels,
      temperature: agent.temperature,
      max_tokens: agent.maxTokens,
      timeout_seconds: agent.timeoutSeconds,
      max_retries: agent.maxRetries,
      system_prompt: agent.systemPrompt,
      allowed_tools: agent.allowedTools,
      on_failure: agent.onFailure,
      run_condition: agent.runCondition as RunConditionDto | null,
      artifact_type: agent.artifactType,
      created_at: agent.createdAt,
      updated_at: agent.updatedAt,
      tools_left_out: shelf && LeftOutToolsDto.from(shelf),
    };
  }
}

/** A pod agent in a list. */
export class ListedPodAgentDto extends PodAgentDto {
  /** Fields that were cut at 2 000 characters; the pod itself has them whole. */
  truncated: string[];
}
