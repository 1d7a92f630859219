import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { MappedText } from './mapped-text.js';

describe('a mapped text', () => {
  it('knows where every copied character came from, through several rewritings', () => {
    const unit = fc.constantFrom('a', 'b', 'x', 'y', '-');
    fc.assert(
      fc.property(
        fc.string({ unit, maxLength: 60 }),
        fc.array(fc.constantFrom(/x+/g, /y/g, /-a/g, /bb?/g), { maxLength: 3 }),
        (text, patterns) => {
          let mapped = MappedText.of(text);
          for (const [step, pattern] of patterns.entries())
            mapped = mapped.replace(pattern, () => (step % 2 ? 'ZZ' : ''));
          for (let at = 0; at < mapped.text.length; at += 1) {
            const [from, to] = [mapped.sourceOf(at), mapped.sourceEndOf(at + 1)];
            expect(from).toBeLessThan(to);
            expect(to).toBeLessThanOrEqual(text.length);
            if (mapped.text[at] !== 'Z') expect(text.slice(from, to)).toBe(mapped.text[at]);
            if (at > 0) expect(from).toBeGreaterThanOrEqual(mapped.sourceOf(at - 1));
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
