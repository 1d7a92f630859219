import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { repairedJson } from './json-repair.js';

const read = (text: string): unknown => JSON.parse(repairedJson(text)) as unknown;

describe('slips of JSON', () => {
  it('are set right nowhere in what has none', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(0, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(repairedJson(text)).toBe(text);
      }),
    );
  });

  it('are set right where only one thing can be meant', () => {
    expect(read('{"a":"one\ntwo\t\u0000"}')).toEqual({ a: 'one\ntwo\t\u0000' });
    expect(read(String.raw`{"a":"C:\dir \' \u12 \\ \" \u0041 \/"}`)).toEqual({ a: String.raw`C:\dir ' \u12 \ " A /` });
    expect(read('{"a":[1,2,\n],"b":{"c":1 ,},}')).toEqual({ a: [1, 2], b: { c: 1 } });
    expect(read('{\u00a0"a":\u200b1\u2028,\u3000}')).toEqual({ a: 1 });
    expect(read('{"a":NaN,"b":[-Infinity,Infinity,-1],"c":"NaN, ]"}')).toEqual({
      a: null,
      b: [null, null, -1],
      c: 'NaN, ]',
    });
  });

  it.each([`{'a':1}`, '{a:1}', '{"a":1', '{"a":"b}', '{"a":True}', '[1,,2]', '{"a" "b"}', '“a”', '\\'])(
    'are no others: %s',
    (text) => {
      expect(() => read(text)).toThrow(SyntaxError);
    },
  );

  it('never make a value of what has another one', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string({ unit: 'binary' }), (value, text) => {
        expect(read(JSON.stringify(value))).toEqual(JSON.parse(JSON.stringify(value)));
        expect(() => repairedJson(text)).not.toThrow();
      }),
    );
  });
});
