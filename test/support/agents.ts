import type { AgentConfig } from '../../src/modules/agents/agent.js';

/** An agent's settings with the API's defaults. */
export function agentConfig(changes: Partial<AgentConfig> = {}): AgentConfig {
  return {
    name: 'Ada',
    systemPrompt: '',
    model: null,
    tools: null,
    memoryTiers: [],
    maxContextTokens: 8_192,
    fallbackModels: [],
    metadata: {},
    ...changes,
  };
}
