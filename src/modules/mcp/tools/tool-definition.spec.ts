import { describe, expect, it } from '@jest/globals';
import { argumentCheck } from './argument-check.js';
import { resultText } from './result-text.js';
import { defineTool, schemaFault, visibleText, type ToolDefinition } from './tool-definition.js';

const same = (text: string): string => text;
const tool = (fields: object = {}): unknown => ({
  name: 'a',
  description: 'b',
  inputSchema: { type: 'object' },
  ...fields,
});
const defined = (fields: object): ToolDefinition => {
  const definition = defineTool(tool(fields), same);
  if ('fault' in definition) throw new Error(definition.fault);
  return definition;
};

describe('what a model reads of a definition', () => {
  it('holds nothing that people would not see', () => {
    const hidden = 'read\u200b me\u202e\u{e0041}\u{e0042}\ufe0f\u0007\u001b[31m\u00ad now\n\tplease';
    expect(visibleText(hidden)).toBe('read me[31m now\n\tplease');
    const { inputSchema } = defined({
      inputSchema: { type: 'object', $id: 'x:y', properties: { p: { description: 'a\u200bb', enum: ['a\u200bb'] } } },
    });
    expect(inputSchema).toEqual({ type: 'object', properties: { p: { description: 'ab', enum: ['a\u200bb'] } } });
  });

  it('is at most 2 KiB of whole characters', () => {
    const cut = visibleText('é'.repeat(5_000));
    expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(2_048);
    expect(cut).toMatch(/^é+…$/);
  });

  it('holds no secret, and says what the server says of its dangers', () => {
    const definition = defineTool(
      tool({
        description: 'the key is K',
        inputSchema: {
          type: 'object',
          properties: { key: { type: 'string', default: 'K', examples: [{ a: ['K'] }] } },
        },
        annotations: { destructiveHint: true },
      }),
      (text) => text.replaceAll('K', '[redacted]'),
    );
    expect(definition).toMatchObject({
      description: 'the key is [redacted]\nIts server says that it may destroy things.',
      inputSchema: { properties: { key: { default: '[redacted]', examples: [{ a: ['[redacted]'] }] } } },
    });
  });
});

it('arguments may be named as what objects inherit', async () => {
  const names = ['constructor', '__proto__', 'toString'];
  const properties = JSON.parse(`{${names.map((name) => `"${name}":{"type":"string"}`).join()}}`) as object;
  const check = argumentCheck({ type: 'object', properties, additionalProperties: false });
  expect(await check({})).toBeNull();
  expect(await check(JSON.parse('{"constructor":"x","__proto__":"y"}'))).toBeNull();
  expect(await check({ constructor: 1 })).toContain('constructor');
  expect(await argumentCheck({ type: 'object', required: ['toString'] })({})).toContain('toString');
});

describe('a definition that is not taken', () => {
  const nested = (depth: number): object => (depth === 0 ? {} : { properties: { p: nested(depth - 1) } });
  it.each([
    ['no object', 'text'],
    ['no name', tool({ name: undefined })],
    ['an empty name', tool({ name: '' })],
    ['a name with a line end', tool({ name: 'a\nb' })],
    ['a very long name', tool({ name: 'a'.repeat(129) })],
    ['no schema', tool({ inputSchema: undefined })],
    [
      'one that is nested for ever',
      JSON.parse(
        `{"name":"a","inputSchema":{"type":"object"},"_meta":{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}}`,
      ),
    ],
    ['a schema of a text', tool({ inputSchema: { type: 'string' } })],
    ['a reference into the network', tool({ inputSchema: { type: 'object', $ref: 'http://169.254.169.254/' } })],
    ['a deep reference', tool({ inputSchema: { type: 'object', allOf: [{ $dynamicRef: 'other.json' }] } })],
    ['a deep schema', tool({ inputSchema: { type: 'object', ...nested(40) } })],
    ['a wide schema', tool({ inputSchema: { type: 'object', enum: Array.from({ length: 5_000 }, () => 1) } })],
    ['a large schema', tool({ inputSchema: { type: 'object', title: 'x'.repeat(70_000) } })],
  ])('has %s', (_what, raw) => {
    expect(defineTool(raw, same)).toHaveProperty('fault');
  });

  const annotated = (properties: object, rest: object = {}): unknown =>
    tool({ inputSchema: { type: 'object', properties, ...rest } });
  const header = (name: unknown, type = 'string'): object => ({ type, 'x-mcp-header': name });
  it.each([
    ['an empty name', annotated({ a: header('') })],
    ['a name with a space', annotated({ a: header('My Name') })],
    ['a name with a line end', annotated({ a: header('A\r\nB') })],
    ['a name that is no text', annotated({ a: header(1) })],
    ['one on a number', annotated({ a: header('A', 'number') })],
    ['one on an object', annotated({ a: header('A', 'object') })],
    ['one without a type', annotated({ a: { 'x-mcp-header': 'A' } })],
    ['the same twice', annotated({ a: header('A'), b: { type: 'object', properties: { c: header('a') } } })],
    ['one on all arguments', annotated({}, header('A', 'object'))],
    ['one within a list', annotated({ a: { type: 'array', items: header('A') } })],
    ['one in a choice', annotated({}, { anyOf: [{ properties: { a: header('A') } }] })],
    ['one in a definition', annotated({}, { $defs: { properties: header('A') } })],
  ])('has a header annotation that the protocol does not allow: %s', (_what, raw) => {
    expect(defineTool(raw, same)).toHaveProperty('fault');
  });

  it('may have header annotations, and arguments that are named like one', () => {
    const properties = { a: header('A'), b: { type: 'object', properties: { c: header('B', 'integer') } } };
    expect(defineTool(annotated(properties), same)).toHaveProperty('hash');
    expect(defineTool(annotated({ 'x-mcp-header': { enum: [header('')] } }), same)).toHaveProperty('hash');
  });

  it('may refer to itself', () => {
    expect(schemaFault({ type: 'object', $defs: { a: {} }, properties: { p: { $ref: '#/$defs/a' } } })).toBeNull();
  });
});

describe('the fingerprint', () => {
  it('is that of everything said, in whatever order', () => {
    const { hash } = defined({ inputSchema: { type: 'object', properties: { a: {}, b: {} } } });
    expect(defined({ inputSchema: { properties: { b: {}, a: {} }, type: 'object' } }).hash).toBe(hash);
    for (const change of [
      { description: 'c' },
      { description: 'b\u200b' },
      { inputSchema: { type: 'object', properties: { a: {} } } },
      { annotations: { readOnlyHint: true } },
      { title: 'x' },
    ]) {
      expect(defined({ inputSchema: { type: 'object', properties: { a: {}, b: {} } }, ...change }).hash).not.toBe(hash);
    }
  });
});

describe('the check of arguments', () => {
  it('says what is wrong', async () => {
    const check = argumentCheck({ type: 'object', properties: { a: { type: 'string' } }, required: ['a'] });
    expect(await check({ a: 'x' })).toBeNull();
    expect(await check({ a: 1 })).toMatch(/string/);
    expect(await check({})).toMatch(/required/);
    expect(await check([])).not.toBeNull();
    expect(await check(null)).not.toBeNull();
  });

  it('is made in the dialect that the schema names, 2020-12 where that is none', async () => {
    // What stands beside a reference counts since 2019-09 only.
    const properties = { text: { $ref: '#/definitions/text', minLength: 5 } };
    const inputSchema = { type: 'object', definitions: { text: { type: 'string' } }, properties };
    const named = ($schema: string): ToolDefinition => defined({ inputSchema: { $schema, ...inputSchema } });
    const old = argumentCheck(named('http://json-schema.org/draft-07/schema#').shown.schema);
    expect(await old({ text: 'abc' })).toBeNull();
    expect(await old({ text: 1 })).toMatch(/string/);
    expect(await argumentCheck(defined({ inputSchema }).shown.schema)({ text: 'abc' })).not.toBeNull();
    expect(named('https://example.com/dialect').inputSchema).not.toHaveProperty('$schema');
  });

  it('is made beside the event loop', async () => {
    const slow = argumentCheck({ type: 'object', properties: { a: { pattern: '^(a+)+$' } } });
    let turns = 0;
    let over = false;
    const turn = (): void => {
      turns += 1;
      if (!over) setImmediate(turn);
    };
    setImmediate(turn);
    await Promise.all(Array.from({ length: 4 }, () => slow({ a: `${'a'.repeat(60)}!` })));
    over = true;
    expect(turns).toBeGreaterThan(1_000);
  });

  it('ends in time and leaves to the server what it cannot decide, whatever the schema', async () => {
    const pattern = argumentCheck({ type: 'object', properties: { a: { pattern: '^(a+)+$' } } });
    expect(await pattern({ a: `${'a'.repeat(60)}!` })).toBeNull();
    expect(await argumentCheck({ type: 'object', properties: { a: { pattern: '(' } } })({ a: 'x' })).toBeNull();
  });
});

describe('the text of a result', () => {
  it('keeps texts, structured content, and notes of the rest', () => {
    expect(
      resultText({
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      }),
    ).toBe('a\nb');
    expect(resultText({ content: [], structuredContent: { a: 1 } })).toBe('{"a":1}');
    expect(resultText({ content: [{ type: 'text', text: '{ "a": 1 }' }], structuredContent: { a: 1 } })).toBe(
      '{ "a": 1 }',
    );
    expect(
      resultText({
        content: [
          { type: 'image', mimeType: 'image/png', data: Buffer.alloc(10).toString('base64') },
          { type: 'resource', resource: { uri: 'file:///x', text: 'inside' } },
          { type: 'resource', resource: { uri: 'file:///y', mimeType: 'a/b', blob: 'AAAA' } },
          { type: 'resource_link', uri: 'file:///z', name: 'z' },
          { type: 'hologram' },
        ],
      }),
    ).toBe(
      '[image: image/png, 10 bytes]\n[resource file:///x]\ninside\n[resource file:///y: a/b, 3 bytes]\n' +
        '[link to the resource z: file:///z]\n[content of a kind that is not known]',
    );
    expect(resultText({ isError: true })).toMatch(/failed/);
  });
});
