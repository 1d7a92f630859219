import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { describeFault, isTimeout, isWrongType } from './redis-fault.js';

describe('describeFault', () => {
  it.each([
    [
      Object.assign(new Error('connect ECONNREFUSED 10.0.0.7:6379'), { code: 'ECONNREFUSED' }),
      'the connection was refused',
    ],
    [new Error('WRONGPASS invalid username-password pair or user is disabled.'), 'the credentials were refused'],
    [new Error('Ready check failed: NOAUTH Authentication required.'), 'credentials are required'],
    [new Error('LOADING Redis is loading the dataset in memory'), 'it is still loading its data'],
    [new Error("OOM command not allowed when used memory > 'maxmemory'."), 'it is out of memory'],
    [new Error('ERR DB index is out of range'), 'it has no database of that number'],
    [new Error('Command timed out'), 'it does not answer in time'],
  ])('says why: %s', (error, reason) => {
    expect(describeFault(error)).toBe(reason);
  });

  it('passes on nothing of what the error says', () => {
    const secret = 'S3cretPassw0rd';
    const text = fc.string().map((s) => `${s}${secret}${s}`);
    fc.assert(
      fc.property(text, fc.oneof(text, fc.constantFrom('toString', '__proto__', 'constructor')), (message, code) => {
        expect(describeFault(Object.assign(new Error(message), { code }))).not.toContain(secret);
        expect(typeof describeFault({ message, code })).toBe('string');
      }),
    );
    fc.assert(fc.property(fc.anything(), (anything) => typeof describeFault(anything) === 'string'));
  });

  it('tells a wrong type and a silence from the rest', () => {
    expect(isWrongType(new Error('WRONGTYPE Operation against a key holding the wrong kind of value'))).toBe(true);
    expect(isWrongType(new Error('ERR WRONGTYPE'))).toBe(false);
    expect(isTimeout(new Error('Command timed out'))).toBe(true);
    expect(isTimeout(undefined)).toBe(false);
  });
});
