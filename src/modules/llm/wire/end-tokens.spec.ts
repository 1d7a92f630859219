import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { EndTokens } from './end-tokens.js';

const PIECE = fc.oneof(
  fc.string({ maxLength: 3 }),
  fc.constantFrom('<|im_end|>', '</s>', '<s>', '<|', '|>', '<', '[', '[EOS]', '\n', '<|im_', 'end|>', 'word '),
);

/** What is left of a text that comes in these pieces. */
function passed(pieces: readonly string[]): string {
  const tokens = new EndTokens();
  const said = pieces.map((piece) => tokens.take(piece)).join('');
  return said + tokens.end(said);
}

describe('tokens at the end of an answer', () => {
  it('are the same however the answer is cut, and nothing else is taken off', () => {
    fc.assert(
      fc.property(fc.array(PIECE, { maxLength: 20 }), (pieces) => {
        const text = pieces.join('');
        const left = passed(pieces);
        expect(left).toBe(passed([text]));
        expect(left).toBe(passed(text.split('')));
        expect(text.startsWith(left)).toBe(true);
        expect(text.slice(left.length)).toMatch(/^(?:(?:<[|｜]\S{1,40}[|｜]>|<\/s>|\[EOS\])\s*)*$/);
      }),
    );
  });

  // Work that grew with the square of the length would take minutes and meet the test's own deadline.
  it.each(['<|x|>', '<', '[', '</s>', '<|', '\n'])('cost time that grows with the length: %s', (part) => {
    passed(Array.from({ length: 50_000 }, () => part));
  });
});
