import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { preferencesOf } from './prefer-header.js';

it.each<[string | undefined, number | null, boolean]>([
  [undefined, null, false],
  ['', null, false],
  ['wait=10', 10, false],
  ['respond-async', null, true],
  ['Respond-Async, WAIT = "3"', 3, true],
  ['wait=1, wait=2', 1, false],
  ['wait=-1', null, false],
  ['wait=1.5', null, false],
  ['wait=99999999999', null, false],
  ['return=minimal; foo=1, respond-async; x', null, true],
  ['wait', null, false],
])('%p', (header, waitSeconds, respondAsync) => {
  expect(preferencesOf(header)).toEqual({ waitSeconds, respondAsync });
});

it('takes any header', () => {
  fc.assert(
    fc.property(fc.string(), (header) => {
      const { waitSeconds } = preferencesOf(header);
      return waitSeconds === null || (Number.isInteger(waitSeconds) && waitSeconds >= 0);
    }),
  );
});
