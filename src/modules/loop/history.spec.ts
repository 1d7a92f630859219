import { describe, expect, it } from '@jest/globals';
import type { LanguageModelV3Message, LanguageModelV3Prompt } from '@ai-sdk/provider';
import fc from 'fast-check';
import { estimatePromptTokens } from '../llm/index.js';
import { cutMiddle, fitHistory, withoutToolParts, withUserText } from './history.js';

const text = (value: string) => ({ type: 'text' as const, text: value });
const user = (value: string): LanguageModelV3Message => ({ role: 'user', content: [text(value)] });
const says = (value: string): LanguageModelV3Message => ({ role: 'assistant', content: [text(value)] });
function exchange(id: string, results: string[]): LanguageModelV3Message[] {
  return [
    {
      role: 'assistant',
      content: results.map((_, n) => ({ type: 'tool-call', toolCallId: `${id}${n}`, toolName: 'look', input: {} })),
    },
    {
      role: 'tool',
      content: results.map((value, n) => ({
        type: 'tool-result',
        toolCallId: `${id}${n}`,
        toolName: 'look',
        output: { type: 'text', value },
      })),
    },
  ];
}

function pairs(prompt: LanguageModelV3Prompt) {
  const calls: string[] = [];
  const results: string[] = [];
  for (const message of prompt) {
    if (message.role === 'assistant')
      for (const part of message.content) if (part.type === 'tool-call') calls.push(part.toolCallId);
    if (message.role === 'tool')
      for (const part of message.content) if (part.type === 'tool-result') results.push(part.toolCallId);
  }
  return { calls, results };
}

const words = fc.nat(400).map((n) => 'w'.repeat(n));
const round = (n: number) =>
  fc.array(words, { minLength: 1, maxLength: 3 }).map((results) => exchange(`c${n}_`, results));
const conversation = fc
  .tuple(
    words,
    fc.array(
      fc.oneof(
        words.map((value) => [user(value), says(value)]),
        words.map((value) => [user(value), ...exchange(`h${value.length}_`, [value]), says('x')]),
      ),
      { maxLength: 5 },
    ),
    words,
    fc.tuple(round(1), round(2), round(3)),
    fc.nat(3),
  )
  .map(([system, history, request, rounds, count]): LanguageModelV3Prompt => [
    { role: 'system', content: system },
    ...history.flat(),
    user(request),
    ...rounds.slice(0, count).flat(),
  ]);

describe('fitting a history', () => {
  it('shortens earlier tool results before it drops words, and both before the newest results', () => {
    const prompt = [
      user('first '.repeat(50)),
      ...exchange('a', ['old '.repeat(500)]),
      says('well'),
      user('now'),
      ...exchange('b', ['new '.repeat(300)]),
    ];
    const total = estimatePromptTokens({ prompt });
    const once = fitHistory(prompt, total - 100);
    expect(once).toHaveLength(prompt.length);
    expect(JSON.stringify(once)).toContain('A result of 2000 characters was cut');
    expect(JSON.stringify(once)).toContain('new new');
    const twice = fitHistory(prompt, 350);
    expect(twice[0]).toEqual(user('now'));
    expect(JSON.stringify(twice)).toContain('new new');
    const thrice = fitHistory(prompt, 80);
    expect(JSON.stringify(thrice)).toMatch(/characters cut/);
  });

  it('never parts a call from its result, keeps system, newest request and newest exchange, and starts with a user', () => {
    fc.assert(
      fc.property(conversation, fc.integer({ min: 1, max: 2_000 }), (prompt, budget) => {
        const before = JSON.stringify(prompt);
        const fitted = fitHistory(prompt, budget);
        expect(JSON.stringify(prompt)).toBe(before);
        const { calls, results } = pairs(fitted);
        expect(calls).toEqual(results);
        expect(fitted[0]).toEqual(prompt[0]);
        expect(fitted[1]?.role).toBe('user');
        const request = prompt.findLast((message) => message.role === 'user');
        expect(fitted.findLast((message) => message.role === 'user')).toEqual(request);
        expect(fitted.at(-1)?.role).toBe(prompt.at(-1)?.role);
        const size = estimatePromptTokens({ prompt: fitted });
        expect(size).toBeLessThanOrEqual(estimatePromptTokens({ prompt }));
        if (estimatePromptTokens({ prompt }) <= budget) expect(fitted).toBe(prompt);
        // What may stay over the budget is only what always stays: three units, the newest one's results cut short.
        const always = [prompt[0], request].flatMap((message) => (message ? [message] : []));
        if (size > budget)
          expect(size).toBeLessThanOrEqual(estimatePromptTokens({ prompt: always }) + 3 * (400 / 4 + 60) + 20);
      }),
    );
  });
});

describe('withoutToolParts', () => {
  it('keeps every word and leaves no tool part', () => {
    const plain = withoutToolParts([user('go'), ...exchange('a', ['found it'])]);
    expect(plain.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
    expect(JSON.stringify(plain)).toContain('found it');
    expect(pairs(plain)).toEqual({ calls: [], results: [] });
    expect(withUserText(plain, 'more').map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
  });
});

describe('cutMiddle', () => {
  it('keeps head and tail within the limit, and says how much it cut', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 0, maxLength: 500 }), fc.integer({ min: 60, max: 300 }), (value, limit) => {
        const cut = cutMiddle(value, limit);
        expect(cut.length).toBeLessThanOrEqual(limit);
        if (value.length <= limit) expect(cut).toBe(value);
        else {
          const [, head = '', count = '', tail = ''] =
            /^([\s\S]*)\n\[… (\d+) characters cut …\]\n([\s\S]*)$/.exec(cut) ?? [];
          expect(head.length + Number(count) + tail.length).toBe(value.length);
        }
      }),
    );
  });
});
