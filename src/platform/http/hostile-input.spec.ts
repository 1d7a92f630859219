import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DomainError } from '../errors/index.js';
import { refuseHostileInput } from './hostile-input.js';

function pointerOf(value: unknown): string | null {
  try {
    refuseHostileInput(value, '#');
    return null;
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    expect(error.code).toBe('validation_failed');
    return error.errors?.[0]?.pointer ?? '';
  }
}

const nested = (depth: number): unknown => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`) as unknown;

describe('hostile input', () => {
  it.each([
    [{ a: ['x', 'b\u0000'] }, '#/a/1'],
    [{ a: { 'b/c~d': '\ud800' } }, '#/a/b~1c~0d'],
    [{ '\ud800': 1 }, '#/%EF%BF%BD'],
    [{ 'a\u0000': 1 }, '#/a%00'],
    [JSON.parse('{"a":{"__proto__":{"admin":true}}}'), '#/a/__proto__'],
    [{ constructor: 1 }, '#/constructor'],
    [{ metadata: { toString: 1 } }, '#/metadata/toString'],
    ['\udc00', '#'],
  ])('is refused with its place: %j', (value, pointer) => {
    expect(pointerOf(value)).toBe(pointer);
  });

  it('may be nested 32 levels deep and no deeper', () => {
    expect(pointerOf(nested(32))).toBeNull();
    expect(pointerOf(nested(33))).toBe(`#${'/0'.repeat(32)}`);
    expect(pointerOf(nested(100_000))).toBe(`#${'/0'.repeat(32)}`);
  });

  it('may hold 20 000 values and no more', () => {
    expect(pointerOf({ list: Array(19_998).fill({}) })).toBeNull();
    expect(pointerOf({ list: Array(19_999).fill({}) })).toBe('#');
    expect(pointerOf({ list: Array(100).fill(Array(200).fill(0)) })).toBe('#');
  });

  it('is nothing but that: every other JSON passes', () => {
    const text = fc.string({ unit: 'binary' }).filter((one) => !one.includes('\u0000'));
    const key = text.filter((one) => !(one in {}) && one !== 'prototype');
    const json = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 5 }, text, fc.double(), fc.boolean(), fc.constant(null), tie('array'), tie('object')),
      array: fc.array(tie('value')),
      object: fc.dictionary(key, tie('value')),
    })).value;
    fc.assert(fc.property(json, (value) => expect(pointerOf(value)).toBeNull()));
  });
});
