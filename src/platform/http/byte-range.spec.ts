import { describe, expect, it } from '@jest/globals';
import { byteRange } from './byte-range.js';

describe('the range of a request', () => {
  it.each([
    ['bytes=0-0', 0, 1],
    ['bytes=2-4', 2, 5],
    ['bytes=7-', 7, 10],
    ['bytes=-3', 7, 10],
    ['bytes=-99', 0, 10],
    ['bytes=4-99', 4, 10],
    ['Bytes=0-9', 0, 10],
  ])('%s is from %i to before %i of 10 bytes', (header, start, end) => {
    expect(byteRange(header, 10)).toEqual({ start, end });
  });
  it.each([undefined, '', 'bytes=', 'bytes=-', 'bytes=5-2', 'bytes=a-b', 'bytes=0-1,3-4', 'lines=0-1', 'bytes=1e1-'])(
    '%s asks for all',
    (header) => expect(byteRange(header, 10)).toBeNull(),
  );
  it.each([
    ['bytes=10-', 10],
    ['bytes=99-100', 10],
    ['bytes=-0', 10],
    ['bytes=0-', 0],
  ])('%s is not in %i bytes', (header, size) => {
    expect(() => byteRange(header, size)).toThrow(expect.objectContaining({ code: 'range_not_satisfiable' }));
  });
});
