export type { Agent, AgentConfig, StoredAgent } from './agent.js';
export {
  converse,
  runAgentLoop,
  type AgentLoopInput,
  type AgentLoopResult,
  type ConversationInput,
} from './agent-loop.js';
export { cutMiddle, fitHistory, withoutToolParts, withUserText } from './agent-loop-history.js';
export {
  UnknownToolOutcomeError,
  type JournalEntry,
  type LoopJournal,
  type ModelEntry,
  type ToolEntry,
} from './agent-loop-journal.js';
export type { LoopToolRegistry, LoopTools } from './agent-loop-tools.js';
export {
  ModelSession,
  type CallSpend,
  type LoopHooks,
  type LoopStep,
  type SessionOptions,
  type ToolCallRecord,
} from './agent-loop-session.js';
export { AgentsBackground } from './agents.background.js';
export { AgentsModule } from './agents.module.js';
export { AGENT_DELETED_CHANNEL, AgentsService } from './agents.service.js';
export { StartedByTools } from './started-by-tools.repository.js';
export { PlatformTool, StartingTool } from './starting-tool.js';
