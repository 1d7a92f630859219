import { crc32 } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { API_KEY_PATTERN, generateApiKey, hashApiKey, isWellFormedApiKey, prefixOfApiKey } from './api-key.js';

const BASE62 = Array.from('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz');
const base62 = (length: number): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(...BASE62), { minLength: length, maxLength: length }).map((chars) => chars.join(''));

/** The checksum as the contract words it, written another way: digits by repeated division of a bigint. */
function expectedChecksum(text: string): string {
  const digits: string[] = [];
  for (let rest = BigInt(crc32(text)); digits.length < 6; rest /= 62n) digits.unshift(BASE62[Number(rest % 62n)] ?? '');
  return digits.join('');
}

describe('an API key', () => {
  it('has the form that secret scanners look for, and a checksum', () => {
    for (let count = 0; count < 200; count += 1) {
      const key = generateApiKey();
      expect(key).toHaveLength(51);
      expect(key).toMatch(API_KEY_PATTERN);
      expect(key.slice(45)).toBe(expectedChecksum(key.slice(0, 45)));
      expect(isWellFormedApiKey(key)).toBe(true);
    }
  });

  it('is another one each time, and uses the whole alphabet', () => {
    const keys = Array.from({ length: 200 }, generateApiKey);
    expect(new Set(keys).size).toBe(200);
    expect(new Set(keys.flatMap((key) => Array.from(key.slice(8, 45)))).size).toBe(62);
  });

  it('has a checksum that is padded with zeros', () => {
    // CRC-32 of this text is small enough for five digits.
    const body = 'sk-nova-000000000000000000000000000000000000';
    const padded = Array.from({ length: 20_000 }, (_, index) => `${body}${BASE62[index % 62]}`.slice(0, 45)).find(
      (text) => crc32(text) < 62 ** 5,
    );
    const text = padded ?? body.padEnd(45, '0');
    expect(isWellFormedApiKey(`${text}${expectedChecksum(text)}`)).toBe(true);
  });

  it('is refused when any character differs', () => {
    const key = generateApiKey();
    fc.assert(
      fc.property(fc.integer({ min: 8, max: 50 }), fc.constantFrom(...BASE62), (index, char) => {
        fc.pre(key[index] !== char);
        expect(isWellFormedApiKey(`${key.slice(0, index)}${char}${key.slice(index + 1)}`)).toBe(false);
      }),
    );
  });

  it('accepts exactly the texts whose checksum is right', () => {
    fc.assert(
      fc.property(base62(37), base62(6), (random, checksum) => {
        const text = `sk-nova-${random}`;
        expect(isWellFormedApiKey(`${text}${checksum}`)).toBe(checksum === expectedChecksum(text));
        expect(isWellFormedApiKey(`${text}${expectedChecksum(text)}`)).toBe(true);
      }),
    );
  });

  it('is never anything else', () => {
    fc.assert(fc.property(fc.string(), (text) => !isWellFormedApiKey(text)));
    const key = generateApiKey();
    for (const other of [`${key} `, `${key}\n`, ` ${key}`, key.toUpperCase(), key.slice(0, -1), `${key}0`, '']) {
      expect(isWellFormedApiKey(other)).toBe(false);
    }
  });

  it('is kept as SHA-256 and shown by its first twelve characters', () => {
    expect(hashApiKey('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(prefixOfApiKey('sk-nova-abcdEFGH')).toBe('sk-nova-abcd');
  });
});
