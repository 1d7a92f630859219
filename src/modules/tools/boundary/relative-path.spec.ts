import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { PathRefusedError } from './path-refused.js';
import { isGitName, parsePath, refuseGit } from './relative-path.js';

describe('parsePath', () => {
  it.each([
    ['', []],
    ['.', []],
    ['a/b', ['a', 'b']],
    ['./a//b/', ['a', 'b']],
    ['/workspace', []],
    ['/workspace/a', ['a']],
    ['...', ['...']],
    ['a\\..\\b', ['a\\..\\b']],
  ])('takes %j', (path, segments) => {
    expect(parsePath(path)).toEqual(segments);
  });

  it.each([
    '/',
    '/etc/passwd',
    '//workspace/a',
    '/workspace-evil/a',
    '/workspace/../etc/passwd',
    '/proc/self/root/etc/passwd',
    '..',
    '../workspace-evil',
    'a/../../b',
    'a/..',
    'a\0b',
    'a\uD800',
    'x'.repeat(256),
    'ä'.repeat(128),
    'a/'.repeat(2_100),
  ])('refuses %j', (path) => {
    expect(() => parsePath(path)).toThrow(PathRefusedError);
  });

  it('gives components that name something in their folder, whatever it is given', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('.', '/', 'a', '\0', '\uD800', 'workspace', ' ') }), (path) => {
        let segments: string[];
        try {
          segments = parsePath(path);
        } catch (error) {
          expect(error).toBeInstanceOf(PathRefusedError);
          return;
        }
        for (const segment of segments) expect(segment).toMatch(/^(?!\.{1,2}$)[^/\0]{1,255}$/);
      }),
    );
  });
});

describe('isGitName', () => {
  it.each([
    '.git',
    '.GIT',
    '.Git',
    '.git.',
    '.git ',
    '.git. .',
    '.git::$INDEX_ALLOCATION',
    'git~1',
    'GIT~1',
    '.g\u200Cit',
    '.gi\uFEFFt',
    '.ｇｉｔ',
    '.git .:x',
    '.git :stream',
    'git~2',
    '.gi\u00ADt',
    '.g\u{E0061}it',
    '.git\t',
    '.git\\config',
    'lib\\.GIT',
  ])('knows %j', (name) => {
    expect(isGitName(name)).toBe(true);
    expect(() => refuseGit(['a', name, 'config'])).toThrow(PathRefusedError);
  });
  it.each(['.gitignore', '.github', 'git', '.gitattributes', 'a.git', 'git~', 'my.git ', '.git-hooks'])(
    'lets %j be',
    (name) => {
      expect(isGitName(name)).toBe(false);
    },
  );
});
