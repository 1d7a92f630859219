import { describe, expect, it } from '@jest/globals';
import { createTwoFilesPatch } from 'diff';
import fc from 'fast-check';
import { readDiff } from './added-lines.js';

describe('reading a diff', () => {
  it('gives exactly the added and removed lines with their numbers, whatever they look like', () => {
    const line = fc.constantFrom(
      '',
      'a',
      'b',
      '+a',
      '-b',
      '++ b/x',
      '-- a/x',
      '@@ -1,9 +1,9 @@',
      'diff --git a/x b/x',
      '\\ No newline',
      ' a',
    );
    const file = fc.array(line, { maxLength: 12 }).map((lines) => lines.map((text) => `${text}\n`).join(''));
    fc.assert(
      fc.property(file, file, (before, after) => {
        const { added, removed } = readDiff(`diff --git a/f b/f\n${createTwoFilesPatch('a/f', 'b/f', before, after)}`);
        const now = after.split('\n');
        const rebuilt = added.flatMap(({ path, text, lines }) => {
          expect(path).toBe('f');
          return text.split('\n').map((content, index) => ({ content, line: lines[index] ?? 0 }));
        });
        for (const { content, line: number } of rebuilt) expect(now[number - 1]).toBe(content);
        const gone = removed === '' && rebuilt.length === 0 ? [] : removed.split('\n');
        const left = [...now];
        for (const { content } of rebuilt) left.splice(left.indexOf(content), 1);
        expect(left.length + gone.length).toBeGreaterThanOrEqual(before.split('\n').length - 1);
      }),
      { numRuns: 300 },
    );
  });

  it('keeps what is no diff at all', () => {
    expect(readDiff('just text\n+ more')).toEqual({ added: [], removed: '', rest: 'just text\n+ more' });
  });

  it('reads several files and quoted names', () => {
    const { added, rest } = readDiff(
      '--- /dev/null\n+++ b/a b.ts\n@@ -0,0 +1 @@\n+one\n--- /dev/null\n+++ "b/c\\n.ts"\n@@ -0,0 +1,2 @@\n+two\n+three\n\\ No newline at end of file\n',
    );
    expect(added).toEqual([
      { path: 'a b.ts', text: 'one', lines: [1], spans: [{ start: 41, end: 45 }] },
      {
        path: 'c\\n.ts',
        text: 'two\nthree',
        lines: [1, 2],
        spans: [
          { start: 91, end: 95 },
          { start: 96, end: 102 },
        ],
      },
    ]);
    expect(rest).toContain('a b.ts');
  });
});
