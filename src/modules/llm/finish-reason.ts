/** How an answer ended. Only a `stop` and `tool-calls` end an answer that may be whole. */
export type FinishReason = 'stop' | 'tool-calls' | 'length' | 'content-filter' | 'error' | 'other';

const TOO_LONG = ['length', 'max', 'limit', 'exceed'];
const WITHHELD = ['filter', 'safety', 'block', 'refus', 'prohibit', 'spii', 'recitation'];
const BROKEN_OFF = ['error', 'abort', 'cancel', 'insufficient', 'interrupt', 'malformed', 'pause'];

/**
 * What an endpoint's own name for an end means, in any case and spelling: a name that contains one of the words above is a
 * failure, and every other one is a normal end, since endpoints call that `stop`, `eos`, `end_turn`, `COMPLETE` and more.
 */
export function finishReasonOf(name: string): Extract<FinishReason, 'stop' | 'length' | 'content-filter' | 'error'> {
  const lower = name.toLowerCase();
  const contains = (word: string): boolean => lower.includes(word);
  if (WITHHELD.some(contains)) return 'content-filter';
  if (BROKEN_OFF.some(contains)) return 'error';
  return TOO_LONG.some(contains) ? 'length' : 'stop';
}
