import { describe, expect, it } from '@jest/globals';
import type { ToolCallRecord } from '../loop/index.js';
import { RunningTurn } from './running-turn.js';

const done = (id: string): ToolCallRecord => ({
  id,
  name: 'look',
  arguments: {},
  result: '',
  isError: false,
  durationMs: 1,
});

describe('the end of a turn', () => {
  it('lists tool calls as the model asked for them, whichever ended first', () => {
    const turn = new RunningTurn('turn', 'agent', 0, null, false, undefined, () => true);
    turn.hooks.onToolCall?.(done('b'), 1);
    turn.hooks.onToolCall?.(done('a'), 0);
    turn.hooks.onToolCall?.(done('d'), 3);
    expect(turn.outcome('cancelled', null).toolCalls.map(({ id }) => id)).toEqual(['a', 'b', 'd']);
    turn.hooks.onToolCall?.(done('c'), 2);
    expect(turn.outcome('completed', null).toolCalls.map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd']);
  });
});
