import { ApiProperty } from '@nestjs/swagger';
import type { OfferedTools } from '../tools/index.js';
import { PodAgentDto } from './pod-agent.dto.js';
import type { Severity, HumanReview, Pod, PodDetail, PodNetwork, PodSandbox, ReviewBy } from './pod.js';

/** A team of agents and the limits their work has. */
export class PodDto {
  @ApiProperty({ format: 'uuid' })
  id: string;
  name: string;
  description: string;
  /** Whether it takes new tasks. */
  enabled: boolean;
  /** Model of agents that name none; null is the service's default. */
  default_model: string | null;
  /** USD a task may cost; null is no limit. */
  max_cost_usd: number | null;
  /** Seconds a task may spend inside stages. */
  @ApiProperty({ type: 'integer' })
  max_execution_seconds: number;
  /** Who decides at a gate. */
  review_by: ReviewBy;
  /** Whether sandboxed commands reach the network. */
  network: PodNetwork;
  /** When a person decides before a task completes. */
  require_human_review: HumanReview;
  /** Findings of this severity and above need a decision. */
  escalation_threshold: Severity;
  sandbox: PodSandbox;
  routing_keywords: string[];
  metadata: Record<string, unknown>;
  /** Whether tasks that name no pod go here. */
  is_system_default: boolean;
  /** Agents that are enabled. */
  @ApiProperty({ type: 'integer' })
  active_agent_count: number;
  created_at: Date;
  updated_at: Date;

  static from(pod: Pod): PodDto {
    return {
      id: pod.id,
      name: pod.name,
      description: pod.description,
      enabled: pod.enabled,
      default_model: pod.defaultModel,
      max_cost_usd: pod.maxCostUsd,
      max_execution_seconds: pod.maxExecutionSeconds,
      review_by: pod.reviewBy,
      network: pod.network,
      require_human_review: pod.requireHumanReview,
      escalation_threshold: pod.escalationThreshold,
      sandbox: pod.sandbox,
      routing_keywords: pod.routingKeywords,
      metadata: pod.metadata,
      is_system_default: pod.isSystemDefault,
      active_agent_count: pod.activeAgentCount,
      created_at: pod.createdAt,
      updated_at: pod.updatedAt,
    };
  }
}

/** A pod with its agents. */
export class PodDetailDto extends PodDto {
  /** By position, disabled ones too. */
  agents: PodAgentDto[];

  /** `shelves` holds the tools of each agent by its id. */
  static override from(pod: PodDetail, shelves?: ReadonlyMap<string, OfferedTools>): PodDetailDto {
    const agents = pod.agents.map((agent) => PodAgentDto.from(agent, shelves?.get(agent.id)));
    return Object.assign(PodDto.from(pod), { agents });
  }
}
