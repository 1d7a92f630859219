import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson } from '../canonical-json/index.js';
import { idempotencyOf } from './idempotency-key.js';

describe('an idempotency key', () => {
  it('is none when the caller sent none', () => {
    expect(idempotencyOf(undefined, {})).toBeUndefined();
  });

  it.each(['', 'x'.repeat(256), 'tab\there', 'é', 'line\nbreak'])('is refused when it is %j', (key) => {
    expect(() => idempotencyOf(key, {})).toThrow(expect.objectContaining({ code: 'validation_failed' }));
  });

  it.each(['x', '"quoted"', 'x'.repeat(255)])('is taken as it is: %j', (key) => {
    expect(idempotencyOf(key, {})?.key).toBe(key);
  });

  it('has a hash of the body that does not depend on the order of its members', () => {
    const shuffled = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(shuffled)
        : typeof value === 'object' && value !== null
          ? Object.fromEntries(
              Object.entries(value)
                .toReversed()
                .map(([name, inner]) => [name, shuffled(inner)]),
            )
          : value;
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(canonicalJson(shuffled(value))).toBe(canonicalJson(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
    const hash = (body: object) => idempotencyOf('k', body)?.bodyHash;
    expect(hash({ a: 1, b: { c: [1, 2], d: null } })).toBe(hash({ b: { d: null, c: [1, 2] }, a: 1 }));
    expect(hash({ a: [1, 2] })).not.toBe(hash({ a: [2, 1] }));
  });
});
