export type { Agent, AgentConfig, StoredAgent } from './agent.js';
export { AgentsBackground } from './agents.background.js';
export { AgentsModule } from './agents.module.js';
export { AGENT_DELETED_CHANNEL, AgentsService } from './agents.service.js';
