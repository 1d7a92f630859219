import { SANDBOX_TIERS, type SandboxTier } from '../../config/index.js';
import { everyValue, type FindingRow, type PodAgentRow, type PodRow } from '../../platform/database/index.js';
import type { AllowedTools } from '../tools/index.js';
import type { PodRole } from './roles.js';
import type { RunCondition } from './run-condition.js';

export const ON_FAILURES = everyValue<PodAgentRow['on_failure']>()('abort', 'skip', 'escalate');
export type OnFailure = PodAgentRow['on_failure'];

export const REVIEW_BYS = everyValue<PodRow['review_by']>()('owner', 'admin');
export type ReviewBy = PodRow['review_by'];

export const POD_NETWORKS = everyValue<PodRow['network']>()('off', 'on');
export type PodNetwork = PodRow['network'];

export const HUMAN_REVIEWS = everyValue<PodRow['require_human_review']>()('always', 'never', 'on_escalation');
export type HumanReview = PodRow['require_human_review'];

/** Of findings and of what a pod escalates; least severe first. */
export const SEVERITIES = everyValue<FindingRow['severity']>()('low', 'medium', 'high', 'critical');
export type Severity = FindingRow['severity'];

export const POD_SANDBOXES = SANDBOX_TIERS;
export type PodSandbox = SandboxTier;

/** Settings of a pod. */
export interface PodSettings {
  name: string;
  description: string;
  enabled: boolean;
  /** Model of agents that name none; null leaves it to the service's default. */
  defaultModel: string | null;
  /** USD; null is no limit. */
  maxCostUsd: number | null;
  /** Seconds inside stages. */
  maxExecutionSeconds: number;
  reviewBy: ReviewBy;
  network: PodNetwork;
  requireHumanReview: HumanReview;
  escalationThreshold: Severity;
  sandbox: PodSandbox;
  routingKeywords: string[];
  metadata: Record<string, unknown>;
}

export interface Pod extends PodSettings {
  id: string;
  /** The pod of tasks that name none; it cannot be deleted. */
  isSystemDefault: boolean;
  /** How many of its agents are enabled. */
  activeAgentCount: number;
  createdAt: Date;
  updatedAt: Date;
}

/** Settings of a pod agent. */
export interface PodAgentSettings {
  name: string;
  role: PodRole;
  description: string;
  enabled: boolean;
  /** Unique in the pod; agents run in its order. */
  position: number;
  /** Neighbours with the same group run together. */
  parallelGroup: string | null;
  /** Null leaves it to the pod. */
  model: string | null;
  fallbackModels: string[];
  /** Null is not sent to the model; the same goes for `maxTokens`. */
  temperature: number | null;
  /** Tokens of one answer. */
  maxTokens: number | null;
  timeoutSeconds: number;
  /** Re-runs that the agent's verdicts may cause. */
  maxRetries: number;
  systemPrompt: string | null;
  /** Names or groups of tools; null is every tool, [] is none. */
  allowedTools: string[] | null;
  onFailure: OnFailure;
  /** Null is always. */
  runCondition: RunCondition | null;
  artifactType: string | null;
}

/** A pod agent to add; without a position it gets the next free one. */
export type NewPodAgent = Omit<PodAgentSettings, 'position'> & { position: number | undefined };

export interface PodAgent extends PodAgentSettings {
  id: string;
  podId: string;
  createdAt: Date;
  updatedAt: Date;
}

export interface PodDetail extends Pod {
  /** By position, disabled ones too. */
  agents: PodAgent[];
}

/** A pod agent as a task keeps it. JSON: survives a round trip through jsonb unchanged. */
export interface AgentSnapshot {
  id: string;
  name: string;
  role: PodRole;
  position: number;
  parallelGroup: string | null;
  model: string | null;
  fallbackModels: string[];
  /** Null is not sent to the model; the same goes for `maxTokens`. */
  temperature: number | null;
  maxTokens: number | null;
  timeoutSeconds: number;
  maxRetries: number;
  systemPrompt: string | null;
  allowedTools: AllowedTools;
  onFailure: OnFailure;
  runCondition: RunCondition | null;
  artifactType: string | null;
}

/** A pod as a task keeps it. JSON: survives a round trip through jsonb unchanged. */
export interface PodSnapshot {
  id: string;
  name: string;
  defaultModel: string | null;
  /** USD; null is no limit. */
  maxCostUsd: number | null;
  maxExecutionSeconds: number;
  reviewBy: ReviewBy;
  network: PodNetwork;
  requireHumanReview: HumanReview;
  escalationThreshold: Severity;
  sandbox: PodSandbox;
  /** The enabled ones, by position; at least one. */
  agents: AgentSnapshot[];
}

/** How a submission names its pod; neither is the default pod. */
export interface PodSelector {
  id?: string | undefined;
  name?: string | undefined;
}

/**
 * The steps of a pod, one after the other: neighbours with the same non-null group are one step and run together.
 * `agents` holds only those that run (enabled ones), by position.
 */
export function stepsOf<Agent extends { readonly parallelGroup: string | null }>(pod: {
  readonly agents: readonly Agent[];
}): Agent[][] {
  const steps: Agent[][] = [];
  for (const agent of pod.agents) {
    const last = steps.at(-1);
    if (last !== undefined && agent.parallelGroup !== null && last[0]?.parallelGroup === agent.parallelGroup) {
      last.push(agent);
    } else {
      steps.push([agent]);
    }
  }
  return steps;
}
