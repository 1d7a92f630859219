/**
 * The five stages. A stage reads its input, may use tools, and gives one structured answer; what it must answer is in
 * `outputs.ts`, what it is told in the file of its role.
 */
export { STAGE_SCHEMAS, type CodeReviewOutput, type GuardrailOutput, type StageOutputs } from './outputs.js';
export { runStage, STAGES, type StageDeps } from './run-stage.js';
export type { StageDiff, StageFeedback, StageInput } from './stage-input.js';
export { UnreadableAnswerError } from './structured-answer.js';
export { ScanFailedError } from '../guardrail/text-scan.js';
