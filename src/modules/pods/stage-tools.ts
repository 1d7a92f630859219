import type { SandboxTier } from '../../config/index.js';
import { OfferedTools, type AllowedTools, type ToolRegistry } from '../tools/index.js';
import { stepsOf, type AgentSnapshot, type PodDetail } from './pod.js';
import { roleKind } from './roles.js';

/** Tokens of one stage's prompt; longer texts are cut, and the cut is stated in the prompt. */
export const STAGE_CONTEXT_TOKENS = 100_000;

type Member = Pick<AgentSnapshot, 'id' | 'role' | 'parallelGroup' | 'allowedTools'>;
type Tools = Pick<ToolRegistry, 'offered' | 'find'>;

/**
 * The tools that the stage of `agent` may use among `team`, the agents that run, by position. Only the task stage writes: the tree is
 * measured when it ends. In a parallel group nobody does, also with tools that did not exist when the pod was written. The
 * context stage also starts nothing.
 */
export function stageTools(agent: Member, team: readonly Member[], tier: SandboxTier, tools: Tools): AllowedTools {
  const step = stepsOf({ agents: team }).find((members) => members.some(({ id }) => id === agent.id));
  if (roleKind(agent.role) === 'works' && step?.length === 1) return agent.allowedTools;
  return tools
    .offered(agent.allowedTools, tier)
    .flatMap(({ name }) => tools.find(name) ?? [])
    .filter((tool) => !tool.writes && (roleKind(agent.role) !== 'prepares' || tool.idempotent))
    .map((tool) => tool.name);
}

/** The tools that each agent of `pod` would show its model now, by the agent's id; a disabled one as if it were enabled. */
export function shelvesOf(pod: PodDetail, tools: Tools): Map<string, OfferedTools> {
  return new Map(
    pod.agents.map((agent) => {
      const team = pod.agents.filter(({ id, enabled }) => enabled || id === agent.id);
      const allowed = stageTools(agent, team, pod.sandbox, tools);
      return [agent.id, new OfferedTools(tools.offered(allowed, pod.sandbox), STAGE_CONTEXT_TOKENS)];
    }),
  );
}
