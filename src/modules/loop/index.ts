/** The exchange between one model and its tools, for turns and stages alike. Words: docs/glossary.md. */
export { converse, runAgentLoop, type AgentLoopInput } from './conversation.js';
export { cutMiddle, fitHistory, withoutToolParts, withUserText } from './history.js';
export { UnknownToolOutcomeError, type JournalEntry, type LoopJournal } from './journal.js';
export type { LoopToolRegistry, LoopTools } from './tool-runner.js';
export {
  ModelSession,
  type CallSpend,
  type LoopHooks,
  type LoopStep,
  type ModelSessionOptions,
  type ToolCallRecord,
} from './model-session.js';
