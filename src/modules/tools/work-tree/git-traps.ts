import { createHash } from 'node:crypto';
import { foldedName, isGitName } from '../boundary/relative-path.js';
import type { EntryKind } from '../boundary/tree-walk.js';

/** Why a change is one that the git of the workspace's owner would obey, and not only store. */
export type GitTrapKind = 'git_entry' | 'bare_repository' | 'submodule' | 'attributes';

export interface GitTrap {
  /** Of a repository, its folder, with a slash at its end. */
  path: string;
  kind: GitTrapKind;
}

/** All traps in the changes of one tree. */
export interface GitTraps {
  /** At most `MOST_LISTED`, sorted by path. */
  listed: GitTrap[];
  total: number;
  /** Over all of them: a person's word for one set of traps is no word for another. */
  hash: string;
}

/** A changed file that git reads its rules from, before and after; null is no text that could be read whole. */
export interface RuleFile {
  path: string;
  after: string | null;
}

export const MOST_LISTED = 100;

/** Diff drivers that are part of git, with patterns and no program of their own, as are the merges below. */
const BUILT_IN: Readonly<Record<string, readonly string[]>> = {
  filter: [],
  diff: (
    'ada bash bibtex cpp csharp css dts elixir fortran fountain golang html ini java kotlin markdown matlab objc pascal ' +
    'perl php python ruby rust scheme tex'
  ).split(' '),
  merge: ['text', 'binary', 'union'],
};
const DRIVER = /(?:^|\s)(filter|diff|merge)=(\S+)/g;

/** Whether git reads attributes of files from what some file system knows by `name`. */
export function isAttributesName(name: string): boolean {
  return /^(?:\.gitattributes|gitatt~\d|gi7d29~\d)$/.test(foldedName(name));
}

/** Whether git reads its submodules from what some file system knows by `name`. */
export function isModulesName(name: string): boolean {
  return /^(?:\.gitmodules|gitmod~\d|gi7eba~\d)$/.test(foldedName(name));
}

/**
 * Whether git would take a folder that holds `entries` for a repository: HEAD beside objects and refs, or beside a file that
 * says where those are. What stands in such a folder configures programs that git runs there.
 */
export function isBareRepository(entries: Iterable<{ name: string; kind: EntryKind }>): boolean {
  let hasHead = false;
  let hasCommon = false;
  const parts = new Set<string>();
  for (const { name, kind } of entries) {
    const folded = foldedName(name);
    if (kind !== 'folder' && folded === 'head') hasHead = true;
    if (kind !== 'folder' && folded === 'commondir') hasCommon = true;
    if (kind !== 'file' && (folded === 'objects' || folded === 'refs')) parts.add(folded);
  }
  return hasHead && (hasCommon || parts.size === 2);
}

/** The drivers that a file of attributes names, as `filter=lfs`, without those that are part of git. */
export function driversIn(text: string): Set<string> {
  const drivers = new Set<string>();
  for (const [, kind = '', name = ''] of text.matchAll(DRIVER)) {
    if (!BUILT_IN[kind]?.includes(name)) drivers.add(`${kind}=${name}`);
  }
  return drivers;
}

/** Gathers, during a walk over a tree, what in its changes git would obey. */
export class GitTrapSearch {
  private readonly entries: string[] = [];
  private readonly repositories = new Set<string>();
  private readonly rules: RuleFile[] = [];

  /** Looks at the entries of the folder `prefix` (with a slash at its end, or nothing for the root). */
  folder(prefix: string, entries: readonly { name: string; kind: EntryKind }[]): void {
    for (const { name, kind } of entries) {
      // The tree's own, which is never published.
      if (prefix === '' && name === '.git' && kind === 'folder') continue;
      if (isGitName(name)) this.entries.push(prefix + name);
    }
    if (isBareRepository(entries)) this.repositories.add(prefix);
  }

  /** Takes in a changed file or link from which git reads rules; `after` is null where it cannot be read as a text. */
  ruleFile(path: string, after: string | null): void {
    this.rules.push({ path, after });
  }

  /** The folders that git would take for repositories, and in which something was written. */
  changedRepositories(written: readonly string[]): string[] {
    if (this.repositories.size === 0) return [];
    const changed = new Set(
      written.flatMap((path) => foldersOf(path)).filter((folder) => this.repositories.has(folder)),
    );
    return [...changed].sort();
  }

  /**
   * @param written The paths that the changes leave with other content than the base had.
   * @param atBase The texts of the base's files of attributes, asked for only where that matters.
   */
  found(written: readonly string[], atBase: () => string[]): GitTraps | null {
    const traps: GitTrap[] = this.entries.map((path) => ({ path, kind: 'git_entry' }));
    for (const folder of this.changedRepositories(written)) traps.push(repositoryTrap(folder));
    let known: Set<string> | undefined;
    for (const { path, after } of this.rules) {
      if (isModulesName(nameOf(path))) {
        traps.push({ path, kind: 'submodule' });
        continue;
      }
      known ??= new Set(atBase().flatMap((text) => [...driversIn(text)]));
      const named = known;
      if (after === null || [...driversIn(after)].some((driver) => !named.has(driver))) {
        traps.push({ path, kind: 'attributes' });
      }
    }
    return gitTraps(traps);
  }
}

/** The set of `traps`; null for none. */
export function gitTraps(traps: readonly GitTrap[]): GitTraps | null {
  if (traps.length === 0) return null;
  const sorted = [...traps].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  const hash = createHash('sha256').update(JSON.stringify(sorted.map(({ path, kind }) => [path, kind])));
  return { listed: sorted.slice(0, MOST_LISTED), total: sorted.length, hash: hash.digest('hex') };
}

export function repositoryTrap(folder: string): GitTrap {
  return { path: folder === '' ? './' : folder, kind: 'bare_repository' };
}

/** Two sets of traps as one. */
export function joinedTraps(first: GitTraps | null, second: GitTraps | null): GitTraps | null {
  if (first === null || second === null) return first ?? second;
  return {
    listed: [...first.listed, ...second.listed].slice(0, MOST_LISTED),
    total: first.total + second.total,
    hash: createHash('sha256').update(`${first.hash}${second.hash}`).digest('hex'),
  };
}

/** The folders that `path` is in, each with a slash at its end, from the root (which is nothing) on. */
export function foldersOf(path: string): string[] {
  const folders = [''];
  for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) folders.push(path.slice(0, end + 1));
  return folders;
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
