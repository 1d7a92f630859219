import { describe, expect, it } from '@jest/globals';
import type { LanguageModelV3Prompt } from '@ai-sdk/provider';
import { assistantMessage, promptFor, type SentBack } from './assistant-message.js';
import type { ModelAnswer } from './model-call.js';

const ALL: SentBack = { reasoning: true, callIds: true };

/** A conversation in which `model` called a tool by each of these ids, and got its results. */
function conversation(model: string, ids: readonly string[]): LanguageModelV3Prompt {
  const answer = {
    model,
    text: '',
    toolCalls: ids.map((id) => ({ id, name: 'look', arguments: '{}' })),
  } as unknown as ModelAnswer;
  const part = ({ id }: { id: string }) =>
    ({ type: 'tool-call', toolCallId: id, toolName: 'look', input: {} }) as const;
  return [
    { role: 'user', content: [{ type: 'text', text: 'Look.' }] },
    assistantMessage(answer, part),
    {
      role: 'tool',
      content: ids.map((id) => ({
        type: 'tool-result',
        toolCallId: id,
        toolName: 'look',
        output: { type: 'text', value: id },
      })),
    },
  ];
}

/** The ids of calls and results, in their order. */
function idsIn(prompt: LanguageModelV3Prompt): string[] {
  return prompt.flatMap(({ content }) =>
    typeof content === 'string' ? [] : content.flatMap((part) => ('toolCallId' in part ? part.toolCallId : [])),
  );
}

describe('ids of tool calls', () => {
  const ids = ['functions.look:0', 'call_0123456789', 'toolu_01A'];

  it('go back to the model that gave them as they came', () => {
    expect(idsIn(promptFor(conversation('a', ids), 'a', ALL))).toEqual([...ids, ...ids]);
  });

  it('are plain for every other model, and for one that refuses its own, and join each call to its result', () => {
    for (const prompt of [
      promptFor(conversation('a', ids), 'b', ALL),
      promptFor(conversation('a', ids), 'a', { ...ALL, callIds: false }),
    ]) {
      const [calls, results] = [idsIn(prompt).slice(0, 3), idsIn(prompt).slice(3)];
      expect(calls).toEqual(results);
      expect(new Set(calls).size).toBe(3);
      for (const id of calls) expect(id).toMatch(/^[a-zA-Z0-9]{9}$/);
      expect(idsIn(promptFor(conversation('a', ids), 'b', ALL))).toEqual(idsIn(prompt));
    }
  });

  it('that every provider takes stay', () => {
    expect(idsIn(promptFor(conversation('a', ['D681PevKs']), 'b', ALL))).toEqual(['D681PevKs', 'D681PevKs']);
  });
});
