import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { objectTexts, textAt } from './json-texts.js';

const KEYS = fc.constantFrom('a', 'b', 'c', 'x"y', '\\', '{}');
const VALUE = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    fc.jsonValue({ maxDepth: 0 }),
    fc.string(),
    fc.array(tie('any')),
    fc.dictionary(KEYS, tie('any')),
  ),
})).any;
const INDENT = fc.constantFrom(0, 1, 2);

describe('a row of objects', () => {
  it('is told apart whatever stands between them', () => {
    const between = fc.constantFrom('', '\n', ' , ', '\r\n\r\n', '\ndata: ');
    fc.assert(
      fc.property(fc.array(fc.dictionary(KEYS, VALUE), { minLength: 1 }), between, INDENT, (values, gap, indent) => {
        const texts = values.map((value) => JSON.stringify(value, null, indent));
        expect(objectTexts(`${gap}${texts.join(gap)}\n[DONE]`)).toEqual(texts);
      }),
    );
  });

  it.each(['', ' \n', '{"a":1', '{"a":1}{"b"', '{"a":1} and so on', '<p>{}</p>', '[1,2', '{"a":"}'])(
    'is not %j',
    (text) => {
      expect(objectTexts(text)).toBeNull();
    },
  );

  // Work that grew with the square of the length would take minutes and meet the test's own deadline.
  it.each(['{"a":', '{}', ' ', '{"a":1},', '"', '{"\\"'])(
    'is looked for in time that grows with the length: %s',
    (part) => {
      objectTexts(part.repeat(Math.floor(2_000_000 / part.length)));
    },
  );
});

describe('the text of a part of a JSON value', () => {
  it('is what was written there', () => {
    const path = fc.array(fc.oneof(KEYS, fc.nat(2)), { maxLength: 4 });
    fc.assert(
      fc.property(VALUE, path, INDENT, (value, steps, indent) => {
        const expected = steps.reduce<unknown>((at, step) => {
          const fits = Array.isArray(at) ? typeof step === 'number' : typeof step === 'string';
          const isHeld = typeof at === 'object' && at !== null && fits && Object.hasOwn(at, step);
          return isHeld ? (at as Record<string, unknown>)[step] : undefined;
        }, value);
        const text = textAt(JSON.stringify(value, null, indent), steps);
        expect(text === null ? undefined : JSON.parse(text)).toEqual(expected);
      }),
    );
  });

  it('is the last one of a key that is given twice, in any spelling', () => {
    expect(textAt('{"a":{"b":1},"\\u0061":{"b":2, "b":3}}', ['a'])).toBe('{"b":2, "b":3}');
  });
});
