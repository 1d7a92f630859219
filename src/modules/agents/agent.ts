import type { AgentRow } from '../../platform/database/index.js';
/** Settings of an agent: its model, instructions and tools. */
export interface AgentConfig {
  name: string;
  systemPrompt: string;
  /** Null is the service's default model of the moment. */
  model: string | null;
  /** Names or groups of tools; null is all that are permitted, [] none. */
  tools: string[] | null;
  /** Kept for clients; nothing uses them. */
  memoryTiers: string[];
  maxContextTokens: number;
  fallbackModels: string[];
  metadata: Record<string, unknown>;
}

/** State that an operator set; `active` agents are idle or running. */
export type AgentState = AgentRow['state'];

export const AGENT_STATUSES = ['idle', 'running', 'paused', 'stopped', 'error'] as const;
export type AgentStatus = (typeof AGENT_STATUSES)[number];

/** An agent as it is stored, in PostgreSQL and in Redis alike. */
export interface StoredAgent {
  id: string;
  config: AgentConfig;
  isCanonical: boolean;
  state: AgentState;
  createdAt: Date;
  updatedAt: Date;
  lastActiveAt: Date | null;
}

/** An agent and what it is doing now. */
export interface Agent extends StoredAgent {
  status: AgentStatus;
}

/** The status of an agent: what an operator set, else whether one of its turns is alive. */
export function statusOf(state: AgentState, hasLiveTurn: boolean): AgentStatus {
  if (state !== 'active') return state;
  return hasLiveTurn ? 'running' : 'idle';
}
