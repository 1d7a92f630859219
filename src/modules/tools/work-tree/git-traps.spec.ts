import { describe, expect, it } from '@jest/globals';
import type { EntryKind } from '../boundary/tree-walk.js';
import { driversIn, foldersOf, GitTrapSearch, isAttributesName, isBareRepository, isModulesName } from './git-traps.js';

const folder = (entries: Record<string, EntryKind>): { name: string; kind: EntryKind }[] =>
  Object.entries(entries).map(([name, kind]) => ({ name, kind }));

describe('a folder that git takes for a repository', () => {
  it.each([
    ['HEAD, objects and refs', { HEAD: 'file', objects: 'folder', refs: 'folder', config: 'file' }],
    ['in other letters', { head: 'file', Objects: 'folder', 'refs.': 'folder' }],
    ['links', { HEAD: 'link', objects: 'link', refs: 'link' }],
    ['a part of one, that names the rest', { HEAD: 'file', commondir: 'file' }],
  ] as const)('has %s', (_, entries) => {
    expect(isBareRepository(folder(entries))).toBe(true);
  });
  it.each([
    ['no HEAD', { objects: 'folder', refs: 'folder', config: 'file' }],
    ['no refs', { HEAD: 'file', objects: 'folder' }],
    ['files only', { HEAD: 'file', objects: 'file', refs: 'file' }],
    ['a folder HEAD', { HEAD: 'folder', objects: 'folder', refs: 'folder' }],
  ] as const)('is none with %s', (_, entries) => {
    expect(isBareRepository(folder(entries))).toBe(false);
  });
});

describe('files that git reads rules from', () => {
  it.each(['.gitattributes', '.GitAttributes', '.gitattributes .', 'GITATT~1', 'gi7d29~1', '.git\u200cattributes'])(
    'knows attributes by the name %j',
    (name) => expect(isAttributesName(name)).toBe(true),
  );
  it.each(['.gitmodules', '.GITMODULES', '.gitmodules::$DATA', 'gitmod~1', 'gi7eba~2'])(
    'knows submodules by the name %j',
    (name) => expect(isModulesName(name)).toBe(true),
  );
  it.each(['gitattributes', '.gitattributes.md', '.gitignore', '.gitmodules.txt'])('lets %j be', (name) => {
    expect([isAttributesName(name), isModulesName(name)]).toEqual([false, false]);
  });

  it('knows the drivers that attributes name, also in macros and after tabs, and not those that are part of git', () => {
    expect([
      ...driversIn('*.bin filter=lfs diff=lfs\tmerge=lfs -text\n[attr]x filter=run\n"a b"\tmerge=ours\r\n'),
    ]).toEqual(['filter=lfs', 'diff=lfs', 'merge=lfs', 'filter=run', 'merge=ours']);
    expect(driversIn('*.md diff=markdown text=auto\n*.po merge=union\n*.txt eol=lf -diff\n*.c diff')).toEqual(
      new Set(),
    );
  });
});

describe('traps in changes', () => {
  it('are all told of in the hash, in whatever order they are found', () => {
    const found = (names: string[]) => {
      const search = new GitTrapSearch();
      for (const name of names) search.folder(`${name}/`, folder({ '.GIT': 'file' }));
      return search.found([], () => []);
    };
    const many = Array.from({ length: 150 }, (_, index) => `d${index}`);
    const traps = found(many);
    expect([traps?.listed.length, traps?.total]).toEqual([100, 150]);
    expect(found([...many].reverse())?.hash).toBe(traps?.hash);
    expect(found(many.slice(1))?.hash).not.toBe(traps?.hash);
    expect(found([])).toBeNull();
  });

  it('leave the tree’s own .git and untouched repositories out', () => {
    const search = new GitTrapSearch();
    search.folder('', folder({ '.git': 'folder', a: 'file' }));
    search.folder('kept.git/', folder({ HEAD: 'file', objects: 'folder', refs: 'folder' }));
    expect(search.found(['a', 'b/c'], () => [])).toBeNull();
    expect(search.found(['kept.git/hooks/x'], () => [])?.listed).toEqual([
      { path: 'kept.git/', kind: 'bare_repository' },
    ]);
  });

  it('are looked for in every folder that a path is in', () => {
    expect(foldersOf('a/b/c')).toEqual(['', 'a/', 'a/b/']);
  });
});
