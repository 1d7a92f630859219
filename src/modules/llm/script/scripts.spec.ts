import type { LanguageModelV3CallOptions } from '@ai-sdk/provider';
import { describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { fitToSchema } from './schema-value.js';
import { ScriptModel } from './script-model.js';
import { SCRIPTED } from './script.js';
import { SCRIPTS } from './scripts.js';

const prompt: LanguageModelV3CallOptions['prompt'] = [
  { role: 'user', content: [{ type: 'text', text: 'Say 😀 hello' }] },
];
const tool = {
  type: 'function' as const,
  name: 'search',
  inputSchema: { type: 'object' as const, properties: { query: { type: 'string' as const } }, required: ['query'] },
};

async function streamed(name: string, options: LanguageModelV3CallOptions): Promise<string> {
  const { stream } = await new ScriptModel(name, SCRIPTS[name]!).doStream(options);
  const said: string[] = [];
  for await (const part of stream) {
    if (part.type === 'text-delta') said.push(part.delta);
    if (part.type === 'tool-call') said.push(`${part.toolCallId}:${part.toolName}(${part.input})`);
    if (part.type === 'finish') said.push(`.${part.finishReason.unified}`);
  }
  return said.join('');
}

describe('the scripts', () => {
  it.each(['demo', 'echo', 'prose', 'empty', 'tools-forever'])(
    '%s answers the same to the same, streamed or whole',
    async (name) => {
      const options = { prompt, tools: [tool] };
      const first = await streamed(name, options);
      expect(await streamed(name, options)).toBe(first);
      const whole = await new ScriptModel(name, SCRIPTS[name]!).doGenerate(options);
      const text = whole.content.map((part) =>
        part.type === 'text'
          ? part.text
          : part.type === 'tool-call'
            ? `${part.toolCallId}:${part.toolName}(${part.input})`
            : '',
      );
      expect(`${text.join('')}.${whole.finishReason.unified}`).toBe(first);
    },
  );

  it('label whatever they say', async () => {
    for (const name of ['demo', 'echo', 'prose', 'tools-forever'])
      expect(await streamed(name, { prompt })).toContain(SCRIPTED);
  });

  it('tools-forever never repeats a call', async () => {
    const first = await streamed('tools-forever', { prompt, tools: [tool] });
    const second = await streamed('tools-forever', {
      prompt: [
        ...prompt,
        {
          role: 'assistant',
          content: [{ type: 'tool-call', toolCallId: 'script_1', toolName: 'search', input: { query: 'round 1' } }],
        },
      ],
      tools: [tool],
    });
    expect([first, second]).toEqual([
      'script_1:search({"query":"round 1"}).tool-calls',
      'script_2:search({"query":"round 2"}).tool-calls',
    ]);
  });

  it('slow ends with the reason of an abort', async () => {
    const controller = new AbortController();
    const { stream } = await new ScriptModel('slow', SCRIPTS.slow!).doStream({
      prompt,
      abortSignal: controller.signal,
    });
    const reader = stream.getReader();
    await reader.read();
    await reader.read();
    const pending = reader.read();
    controller.abort(new Error('enough'));
    await expect(pending).rejects.toThrow('enough');
  });
});

const leaf = fc.constantFrom<Record<string, unknown>>(
  { type: 'string' },
  { type: 'string', minLength: 3, maxLength: 5 },
  { type: 'integer', minimum: 2, maximum: 9 },
  { type: 'number' },
  { type: 'boolean' },
  { enum: ['low', 'high'] },
  { const: 'task' },
  { type: ['string', 'null'] },
  { anyOf: [{ type: 'integer' }, { type: 'null' }] },
);
const schemas = fc.letrec<{ schema: Record<string, unknown> }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3 },
    leaf,
    fc.record({ items: tie('schema'), minItems: fc.nat({ max: 3 }) }).map((parts) => ({ type: 'array', ...parts })),
    fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('schema'), { minKeys: 1 }).map((properties) => ({
      type: 'object',
      properties,
      required: Object.keys(properties),
      additionalProperties: false,
    })),
  ),
})).schema;

describe('fitToSchema', () => {
  const ajv = new Ajv({ strict: false, addUsedSchema: false });

  it('gives a valid value for any schema and any wish', () => {
    fc.assert(
      fc.property(schemas, fc.jsonValue(), (schema, wish) => {
        const value = fitToSchema(schema, wish, 'filler');
        expect(ajv.validate(schema, value) ? [] : ajv.errors).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });

  it('keeps a wish that is valid already', () => {
    const schema = { type: 'object', properties: { a: { type: 'array', items: { type: 'string' } } }, required: ['a'] };
    expect(fitToSchema(schema, { a: ['x', 'y'], b: 1 }, '')).toEqual({ a: ['x', 'y'] });
  });
});
