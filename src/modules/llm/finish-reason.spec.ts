import { describe, expect, it } from '@jest/globals';
import { finishReasonOf } from './finish-reason.js';

describe('names of ends', () => {
  it.each([
    'stop',
    'STOP',
    'eos',
    'eos_token',
    'end_turn',
    'stop_sequence',
    'COMPLETE',
    'tool_calls',
    'tool_use',
    'done',
    'FINISH_REASON_STOP',
    'finish',
    'unload',
    'load',
    'end',
    'unknown',
    'FINISH_REASON_UNSPECIFIED',
    '',
    '</s>',
  ])('%j is a normal end', (name) => {
    expect(finishReasonOf(name)).toBe('stop');
  });

  it.each([
    ['length', 'length'],
    ['MAX_TOKENS', 'length'],
    ['max_output_tokens', 'length'],
    ['model_length', 'length'],
    ['token_limit', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['content_filter', 'content-filter'],
    ['SAFETY', 'content-filter'],
    ['IMAGE_SAFETY', 'content-filter'],
    ['BLOCKLIST', 'content-filter'],
    ['guardrail_intervened_blocked', 'content-filter'],
    ['refusal', 'content-filter'],
    ['PROHIBITED_CONTENT', 'content-filter'],
    ['SPII', 'content-filter'],
    ['RECITATION', 'content-filter'],
    ['error', 'error'],
    ['ERROR_LIMIT', 'error'],
    ['aborted', 'error'],
    ['cancelled', 'error'],
    ['insufficient_system_resource', 'error'],
    ['interrupted', 'error'],
    ['MALFORMED_FUNCTION_CALL', 'error'],
    ['pause_turn', 'error'],
  ])('%j is a failure (%s)', (name, kind) => {
    expect(finishReasonOf(name)).toBe(kind);
  });
});
