import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DomainError } from '../../platform/errors/index.js';
import { promptOf, type Message } from './prompt.js';

const call = (id: string, args = '{}') => ({ id, function: { name: 'look', arguments: args } });

describe('a conversation', () => {
  it('has its system messages first and each result behind its call', () => {
    const prompt = promptOf([
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'wait', tool_calls: [call('a', '{"x":1}'), call('b', '[1]')] },
      { role: 'system', content: 'rule' },
      { role: 'user', content: 'hurry' },
      { role: 'tool', content: [{ type: 'text', text: 'B' }], tool_call_id: 'b' },
    ]);
    expect(prompt).toEqual([
      { role: 'system', content: 'rule' },
      { role: 'user', content: [{ type: 'text', text: 'one' }] },
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'wait' },
          { type: 'tool-call', toolCallId: 'a', toolName: 'look', input: { x: 1 } },
          { type: 'tool-call', toolCallId: 'b', toolName: 'look', input: { unparsed: '[1]' } },
        ],
      },
      {
        role: 'tool',
        content: [
          {
            type: 'tool-result',
            toolCallId: 'a',
            toolName: 'look',
            output: { type: 'error-text', value: 'There is no result of this call.' },
          },
          { type: 'tool-result', toolCallId: 'b', toolName: 'look', output: { type: 'text', value: 'B' } },
        ],
      },
      { role: 'user', content: [{ type: 'text', text: 'hurry' }] },
    ]);
  });

  it('shows images as what they are', () => {
    const [message] = promptOf([
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url: 'data:image/png;base64,QUJD' } },
          { type: 'image_url', image_url: { url: 'https://example.org/a.png' } },
        ],
      },
    ]);
    expect(message?.content).toEqual([
      { type: 'file', mediaType: 'image/png', data: 'QUJD' },
      { type: 'file', mediaType: 'image/*', data: new URL('https://example.org/a.png') },
    ]);
  });

  it.each<[string, Message[], string]>([
    ['no id', [{ role: 'tool', content: 'x' }], '#/messages/0/tool_call_id'],
    ['an unknown id', [{ role: 'tool', content: 'x', tool_call_id: 'a' }], '#/messages/0/tool_call_id'],
    [
      'the id of a later call',
      [
        { role: 'tool', content: 'x', tool_call_id: 'a' },
        { role: 'assistant', content: '', tool_calls: [call('a')] },
      ],
      '#/messages/0/tool_call_id',
    ],
    [
      'two calls of one id',
      [{ role: 'assistant', content: '', tool_calls: [call('a'), call('a')] }],
      '#/messages/0/tool_calls',
    ],
  ])('is refused for a result with %s', (_, messages, pointer) => {
    let refused: unknown;
    try {
      promptOf(messages);
    } catch (error) {
      refused = error;
    }
    expect(refused).toBeInstanceOf(DomainError);
    expect((refused as DomainError).errors?.map((fault) => fault.pointer)).toEqual([pointer]);
  });

  it('never lets a call stand without a result, whatever is sent', () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd');
    const message = fc.oneof(
      fc.record({ role: fc.constantFrom('user' as const, 'system' as const), content: fc.string() }),
      fc.record({
        role: fc.constant('assistant' as const),
        content: fc.string(),
        tool_calls: fc.uniqueArray(
          id.map((one) => call(one)),
          { selector: (one) => one.id },
        ),
      }),
      fc.record({ role: fc.constant('tool' as const), content: fc.string(), tool_call_id: id }),
    );
    fc.assert(
      fc.property(fc.array(message), (messages: Message[]) => {
        let prompt;
        try {
          prompt = promptOf(messages);
        } catch (error) {
          expect(error).toBeInstanceOf(DomainError);
          return;
        }
        const open = new Set<string>();
        for (const part of prompt) {
          if (part.role !== 'tool') expect([...open]).toEqual([]);
          if (part.role === 'assistant') {
            for (const piece of part.content) if (piece.type === 'tool-call') open.add(piece.toolCallId);
          }
          if (part.role === 'tool') {
            for (const piece of part.content) if (piece.type === 'tool-result') open.delete(piece.toolCallId);
          }
        }
        expect([...open]).toEqual([]);
      }),
    );
  });
});
