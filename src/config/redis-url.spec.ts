import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseRedisUrl } from './redis-url.js';

describe('parseRedisUrl', () => {
  it.each([
    ['redis://localhost', { host: 'localhost', port: 6379, db: 0 }],
    ['redis://127.0.0.1:7000/2', { host: '127.0.0.1', port: 7000, db: 2 }],
    ['redis://[::1]:7000/', { host: '::1', port: 7000, db: 0 }],
    ['rediss://h/3', { host: 'h', port: 6379, db: 3, tls: {} }],
    ['redis://h/1?enableOfflineQueue=true&db=9', { host: 'h', port: 6379, db: 1 }],
  ])('reads %s', (url, expected) => {
    expect(parseRedisUrl(url)).toEqual(expected);
  });

  it('reads any credentials that were encoded', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1 });
    fc.assert(
      fc.property(text, text, (username, password) => {
        const url = `redis://${encodeURIComponent(username)}:${encodeURIComponent(password)}@h/2`;
        expect(parseRedisUrl(url)).toEqual({ host: 'h', port: 6379, db: 2, username, password });
      }),
    );
    expect(parseRedisUrl('redis://:100%@h').password).toBe('100%');
  });

  it.each([
    'redis://',
    'redis://:sec#ret@h',
    'redis://sec#ret@h',
    'redis://u:sec@/2',
    'http://h',
    'redis://h/two',
    'redis://h/-1',
    'redis://h:99999',
    'redis:h',
    '',
  ])('refuses %s without repeating it', (url) => {
    expect(() => parseRedisUrl(url)).toThrow(/^must /);
    expect(() => parseRedisUrl(url)).not.toThrow(/sec|two|99999/);
  });
});
