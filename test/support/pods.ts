import type { AgentSnapshot, PodAgentSettings, PodSettings, PodSnapshot } from '../../src/modules/pods/pod.js';
import type { PodRole } from '../../src/modules/pods/roles.js';

/** The pod that every migrated database has. */
export const SYSTEM_POD = '00000000-0000-7000-8000-000000000001';

// The API's defaults, as far as tasks keep them.
const POD = {
  defaultModel: null,
  maxCostUsd: null,
  maxExecutionSeconds: 1800,
  reviewBy: 'owner',
  network: 'off',
  requireHumanReview: 'on_escalation',
  escalationThreshold: 'medium',
  sandbox: 'workspace',
} satisfies Partial<PodSettings>;

const AGENT = {
  parallelGroup: null,
  model: null,
  fallbackModels: [],
  temperature: 0.3,
  maxTokens: 4096,
  timeoutSeconds: 120,
  maxRetries: 2,
  systemPrompt: null,
  allowedTools: [],
  onFailure: 'abort',
  runCondition: null,
  artifactType: null,
} satisfies Partial<PodAgentSettings>;

/** A pod with the API's defaults. */
export function podSettings(changes: Partial<PodSettings> = {}): PodSettings {
  return { name: 'A pod', description: '', enabled: true, ...POD, routingKeywords: [], metadata: {}, ...changes };
}

/** The same pod as a task keeps it, by default under the id of the system's own pod. */
export function podSnapshot(agents: AgentSnapshot[], changes: Partial<PodSnapshot> = {}): PodSnapshot {
  return { id: SYSTEM_POD, name: 'A pod', ...POD, agents, ...changes };
}

/** A pod agent with the API's defaults, but without tools. */
export function agentSettings(
  role: PodRole,
  position: number,
  changes: Partial<PodAgentSettings> = {},
): PodAgentSettings {
  return { name: role, role, description: '', enabled: true, position, ...AGENT, ...changes };
}

/** The same agent as a task keeps it; its id is its role. */
export function agentSnapshot(role: PodRole, position: number, changes: Partial<AgentSnapshot> = {}): AgentSnapshot {
  return { id: role, name: role, role, position, ...AGENT, ...changes };
}
