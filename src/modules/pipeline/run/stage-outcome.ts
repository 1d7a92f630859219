import type { LeftOutToolsDto } from '../../tools/index.js';
import type { StageWrite } from '../store/transition.js';
import type { Role } from '../rules/task-status.js';

interface Used {
  model: string | null;
  inputTokens: number;
  /** Of the input tokens, those that a provider read from its cache. */
  cachedInputTokens: number;
  outputTokens: number;
  /** Null when the price of a model is not known. */
  costUsd: number | null;
  estimated: boolean;
  durationMs: number;
}

/** How one stage's turn ended. */
export type StageOutcome = { stageId: string; role: Role; used: Used; leftOut: LeftOutToolsDto | null } & (
  | { kind: 'complete'; output: unknown }
  /** Counts as an attempt; may be retried. */
  | { kind: 'failed'; code: string; message: string }
  /** Every provider is cooling: the stage goes on later from its journal. */
  | { kind: 'snooze'; until: number; provider: string }
  /** A person must decide before the stage goes on. */
  | { kind: 'gate'; gate: 'cost' | 'tool_effect'; reason: string; details: Record<string, unknown> }
  /** The task fails for good. */
  | { kind: 'fatal'; code: string; message: string }
);

/** What a stage used, as its row says it. */
export function usage(
  used: Used,
): Pick<
  StageWrite,
  'model' | 'input_tokens' | 'cached_input_tokens' | 'output_tokens' | 'cost_usd' | 'usage_estimated' | 'duration_ms'
> {
  return {
    model: used.model,
    input_tokens: used.inputTokens,
    cached_input_tokens: used.cachedInputTokens,
    output_tokens: used.outputTokens,
    cost_usd: used.costUsd,
    usage_estimated: used.estimated,
    duration_ms: used.durationMs,
  };
}
