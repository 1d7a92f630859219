export {
  ModelCallError,
  type ModelAnswer,
  type ModelCall,
  type ModelFailureKind,
  type ModelPrice,
  type ModelToolCall,
  type ModelUsage,
  type OfferedTool,
} from './model-call.js';
