import { describe, expect, it } from '@jest/globals';
import { fitArguments, parseArguments } from './fit-arguments.js';

const schema = {
  type: 'object',
  properties: {
    path: { type: 'string' },
    count: { type: 'integer' },
    deep: { type: 'boolean' },
    names: { type: 'array', items: { type: 'string' } },
    filter: { type: 'object', properties: { max: { type: 'number' }, note: { type: ['string'] } } },
    mode: { type: 'string', enum: ['Fast', 'slow'] },
    size: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
  },
  required: ['path'],
  additionalProperties: false,
};

describe('arguments in another form', () => {
  it.each([
    ['null for what may be left out', { path: 'a', deep: null, count: null, unknown: null }, { path: 'a' }],
    ['"" and words for nothing', { path: 'a', deep: '', count: 'None', names: 'null' }, { path: 'a' }],
    ['null where it is a value', { path: 'a', size: null }, { path: 'a', size: null }],
    ['texts of numbers', { path: 'a', count: '3', size: ' 4 ' }, { path: 'a', count: 3, size: 4 }],
    ['texts of booleans', { path: 'a', deep: 'True' }, { path: 'a', deep: true }],
    ['0 for false', { path: 'a', deep: 0 }, { path: 'a', deep: false }],
    ['one for a list', { path: 'a', names: 'x' }, { path: 'a', names: ['x'] }],
    ['a list in a text', { path: 'a', names: '["x", "2"]' }, { path: 'a', names: ['x', '2'] }],
    ['an object in a text', { path: 'a', filter: '```json\n{"max":"1.5"}\n```' }, { path: 'a', filter: { max: 1.5 } }],
    ['another case', { path: 'a', mode: 'FAST' }, { path: 'a', mode: 'Fast' }],
  ])('mean the same: %s', (_what, given, meant) => {
    expect(fitArguments(schema, given)).toEqual(meant);
  });

  it.each([
    ['null for what is required', { path: null }],
    ['a word for a number', { path: 'a', count: 'three' }],
    ['an object for a text', { path: {} }],
    ['a number for a text', { path: 7 }],
    ['what nobody knows', { path: 'a', other: 1 }],
    ['what is right already', { path: '3', count: 3, deep: false, names: [''], mode: 'slow' }],
  ])('are left alone: %s', (_what, given) => {
    expect(fitArguments(schema, given)).toEqual(given);
  });

  it.each([
    ['nothing', '  ', {}],
    ['null', 'null', {}],
    ['JSON', '{"a":1}', { a: 1 }],
    ['JSON in a text', JSON.stringify('{"a":1}'), { a: 1 }],
    ['a fence', '```json\n{"a":1}\n```', { a: 1 }],
    ['a fence in a text', JSON.stringify('```\r\n{"a":1}\r\n```'), { a: 1 }],
  ])('are read: %s', (_what, raw, meant) => {
    expect(parseArguments(raw)).toEqual(meant);
  });

  it.each(['{"a":', '"words"', '```', 'a'])('are refused when they are no JSON: %s', (raw) => {
    expect(() => parseArguments(raw)).toThrow(SyntaxError);
  });
});
