import { describe, expect, it } from '@jest/globals';
import { argumentCheck } from './argument-check.js';
import { shownSchema } from './shown-schema.js';

type Json = Record<string, unknown>;
const shown = (schema: object): Json => shownSchema(schema as Json).schema;
const argument = (schema: unknown): unknown =>
  (shown({ type: 'object', properties: { a: schema } })['properties'] as Json)['a'];

/** Everything that one provider or another refuses. */
function faults(node: unknown, root = true): string[] {
  if (typeof node !== 'object' || node === null || Array.isArray(node)) return ['no schema'];
  const { type, properties, required, items, anyOf, enum: values, ...rest } = node as Json;
  const found = Object.keys(rest).filter(
    (key) =>
      !/^(title|description|default|examples|additionalProperties|m(in|ax)(Length|Items|imum)|exclusiveM(in|ax)imum|multipleOf)$/.test(
        key,
      ),
  );
  if (type !== undefined && typeof type !== 'string') found.push('type');
  if (type === 'array' && (typeof items !== 'object' || Array.isArray(items))) found.push('items');
  if (root && (type !== 'object' || anyOf !== undefined)) found.push('root');
  if (required !== undefined && !(Array.isArray(required) && required.every((name) => name in (properties as Json))))
    found.push('required');
  if (values !== undefined && !(Array.isArray(values) && values.length > 0)) found.push('enum');
  for (const [name, inner] of Object.entries((properties ?? {}) as Json)) {
    if (!/^[A-Za-z0-9_.-]{1,64}$/.test(name)) found.push(`name ${name}`);
    found.push(...faults(inner, false));
  }
  for (const inner of [...((anyOf ?? []) as unknown[]), ...(items === undefined ? [] : [items])])
    found.push(...faults(inner, false));
  return found;
}

describe('a schema as it is shown', () => {
  const odd: [string, unknown][] = [
    ['a list of anything', { type: 'array' }],
    ['a list of null', { type: 'array', items: null }],
    ['a tuple', { type: 'array', items: [{ type: 'string' }, { type: 'number' }] }],
    ['a new tuple', { type: 'array', prefixItems: [{ type: 'string' }], items: false }],
    ['required: null', { type: 'object', properties: { b: {} }, required: null }],
    ['required: true', { type: 'object', properties: { b: { type: 'string', required: true } } }],
    ['required names nobody has', { type: 'object', properties: {}, required: ['x', 1] }],
    ['types in a list', { type: ['string', 'null'], enum: ['a', null] }],
    ['no types', { type: [] }],
    ['an unknown type', { type: 'any' }],
    ['a bad pattern', { type: 'string', pattern: '(', format: 7 }],
    ['a loop', { $ref: '#' }],
    ['a loop of definitions', { $ref: '#/$defs/a' }],
    ['a reference to nothing', { $ref: '#/$defs/none' }],
    ['an anchor', { $ref: '#here' }],
    ['true', true],
    ['null', null],
    ['a list', []],
    ['a text', 'string'],
    ['bounds of old', { type: 'number', minimum: 1, exclusiveMinimum: true, multipleOf: 0 }],
    ['conditions', { type: 'object', if: {}, else: {}, not: {}, patternProperties: { '^x': {} }, dependencies: {} }],
    ['choices', { oneOf: [{ type: 'string' }, { type: 'array' }, true, null], allOf: null }],
    ['an empty enum', { type: 'string', enum: [] }],
    ['an enum that is none', { enum: 'a' }],
    ['null annotations', { type: 'string', description: null, title: 3, default: null, examples: {} }],
    ['unknown keywords', { type: 'string', nullable: true, 'x-order': 1, discriminator: {} }],
    [
      'a member that is no name',
      { type: 'object', properties: { '@type': {}, 'a b': {}, '': {}, __proto__: {}, constructor: {} } },
    ],
    ['properties: null', { type: 'object', properties: null, additionalProperties: null }],
  ];

  it.each(odd)('is one that all take: %s', (_what, schema) => {
    const defs = { $schema: 'https://example.com/odd', $defs: { a: { properties: { b: { $ref: '#/$defs/a' } } } } };
    expect(faults(shown({ type: 'object', properties: { a: schema }, ...defs }))).toEqual([]);
    expect(faults(shown({ ...(typeof schema === 'object' ? schema : {}), ...defs }))).toEqual([]);
  });

  it('has no choices at its root: what all of them have stands there', () => {
    const branch = (name: string): object => ({ properties: { [name]: { type: 'string' } }, required: [name] });
    expect(
      shown({ type: 'object', properties: { id: {} }, oneOf: [branch('a'), branch('b')], allOf: [branch('c')] }),
    ).toEqual({
      type: 'object',
      properties: { id: {}, a: { type: 'string' }, b: { type: 'string' }, c: { type: 'string' } },
      required: ['c'],
    });
  });

  it('resolves what it refers to', () => {
    const node = { type: 'object', properties: { next: { $ref: '#/$defs/node' }, name: { type: 'string' } } };
    const schema = shown({
      type: 'object',
      $defs: { node },
      properties: { a: { $ref: '#/$defs/node', description: 'd' } },
    });
    expect(schema['properties']).toMatchObject({
      a: { type: 'object', description: 'd', properties: { name: { type: 'string' } } },
    });
  });

  it('tells of a pattern, of a format and of many values in words', () => {
    expect(argument({ type: 'string', description: 'A day', format: 'date', pattern: '^2' })).toEqual({
      type: 'string',
      description: 'A day\nFormat: date.\nPattern: ^2',
    });
    const many = argument({ enum: Array.from({ length: 1_000 }, (_, i) => `v${i}`) });
    expect(many).toEqual({ type: 'string', description: expect.stringContaining('One of: v0, v1,') });
  });

  it('ends, however often it refers to the same', () => {
    const $defs = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [
        `d${i}`,
        { properties: { x: { $ref: `#/$defs/d${i + 1}` }, y: { $ref: `#/$defs/d${i + 1}` } } },
      ]),
    );
    const schema = shown({
      type: 'object',
      $defs,
      properties: { a: { $ref: '#/$defs/d0' }, b: { allOf: [{ $ref: '#/$defs/d0' }] } },
    });
    expect(Buffer.byteLength(JSON.stringify(schema))).toBeLessThanOrEqual(64 * 1024);
  });

  it('leads back to the names of the server', () => {
    const inner = { type: 'object', properties: { $top: { type: 'integer' } } };
    const { schema, restore } = shownSchema({
      type: 'object',
      properties: { '@id': { type: 'string' }, list: { type: 'array', items: inner } },
    });
    const [id] = Object.keys(schema['properties'] as Json);
    const [top] = Object.keys(
      ((schema['properties'] as Json)['list'] as { items: { properties: Json } }).items.properties,
    );
    expect(restore({ [id ?? '']: 'x', list: [{ [top ?? '']: 1 }], other: 2 })).toEqual({
      '@id': 'x',
      list: [{ $top: 1 }],
      other: 2,
    });
    expect(restore({ '@id': 'y' })).toEqual({ '@id': 'y' });
  });

  it('is what arguments are checked by; what it cannot decide is left to the server', async () => {
    const check = argumentCheck(
      shown({ type: 'object', properties: { a: { type: 'string', pattern: '(' } }, required: ['a'] }),
    );
    expect(await check({ a: 'x' })).toBeNull();
    expect(await check({})).toMatch(/required/);
    expect(await check({ a: 1 })).toMatch(/string/);
  });
});
