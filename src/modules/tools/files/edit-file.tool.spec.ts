import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { PathRefusedError } from '../boundary/path-refused.js';
import { edit } from './edit-file.tool.js';
import { globTest } from './glob.js';

describe('edit', () => {
  it.each([
    ['one two', 'two', 'three', 'one three'],
    ['a', 'a', '', ''],
    ['price $1', 'price', "$& $' $1", "$& $' $1 $1"],
  ])('in %j puts for %j %j', (text, before, after, expected) => {
    expect(edit(text, before, after)).toBe(expected);
  });

  it.each([
    ['abc', 'x', 'y', 'does not occur'],
    ['aa', 'a', 'b', 'more than once'],
    ['aaa', 'aa', 'b', 'more than once'],
    ['a', 'a', 'a', 'the same'],
    ['abc', 'x', '', 'does not occur'],
  ])('refuses in %j for %j %j: %s', (text, before, after, why) => {
    expect(() => edit(text, before, after)).toThrow(why);
  });

  it('done twice is done once', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '\n'), maxLength: 12 });
    fc.assert(
      fc.property(letters, letters, letters, (text, before, after) => {
        fc.pre(before !== '');
        const attempt = (on: string): string | null => {
          try {
            return edit(on, before, after);
          } catch (error) {
            expect(error).toBeInstanceOf(PathRefusedError);
            return null;
          }
        };
        const once = attempt(text);
        // An edit whose result shows the old text anew, elsewhere, is the one case a repeat cannot tell.
        fc.pre(once !== null && (after.includes(before) || !once.includes(before)));
        expect(attempt(once ?? '')).toBeNull();
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('globTest', () => {
  it.each([
    ['*.ts', 'src/a.ts', true],
    ['*.ts', 'src/a.tsx', false],
    ['src/*.ts', 'src/a.ts', true],
    ['src/*.ts', 'src/b/a.ts', false],
    ['src/**/*.ts', 'src/a.ts', true],
    ['src/**/*.ts', 'src/b/c/a.ts', true],
    ['**/*.{js,ts}', 'a.ts', true],
    ['*.{js,ts}', 'b/a.jsx', false],
    ['a?c', 'abc', true],
    ['a.c', 'abc', false],
    ['(a|b)', 'a', false],
    ['a,b}', 'a,b}', true],
  ])('%s on %s is %s', (glob, path, expected) => {
    expect(globTest(glob)(path)).toBe(expected);
  });

  it('refuses what it cannot read', () => {
    expect(() => globTest('{a,b')).toThrow(PathRefusedError);
    expect(() => globTest('*'.repeat(501))).toThrow(PathRefusedError);
  });
});
