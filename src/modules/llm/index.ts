export { isAllowedModel } from './allowed-model.js';
export { assistantMessage } from './assistant-message.js';
export { LlmModule } from './llm.module.js';
export { LlmService } from './llm.service.js';
export {
  ModelCallError,
  type ModelAnswer,
  type ModelCall,
  type ModelToolCall,
  type ModelUsage,
  type OfferedTool,
  type ResponseSchema,
} from './model-call.js';
export { modelChain } from './model-chain.js';
export { noModel } from './no-model.js';
export { estimatePromptTokens, estimateTokens } from './token-estimate.js';
export { plainCallId } from './tool-call-id.js';
export { repairedJson } from './wire/json-repair.js';
