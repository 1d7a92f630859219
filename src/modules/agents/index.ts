export type { StoredAgent } from './agent.js';
export { AgentWork, type AgentWorkSource } from './agent-work.js';
export { AgentsModule } from './agents.module.js';
export { AGENT_DELETED_CHANNEL, AgentsService } from './agents.service.js';
