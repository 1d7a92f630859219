import { randomUUID } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { inDirectory } from '../boundary/directory.js';
import { foldedName } from '../boundary/relative-path.js';
import { isWritten, type Comparison } from './compare-tree.js';
import type { GitTrap } from './git-traps.js';
import { Publication } from './publication.js';
import { BaseContent } from './recorded-content.js';
import type { Removals } from './removals.js';
import type { Difference } from './tree-diff.js';

/** The entries by which git takes a folder for a repository. */
const MARKS = ['head', 'commondir', 'objects', 'refs'];
/** Others that git makes in a repository. */
const PARTS =
  'branches config config.worktree description fetch_head hooks index info logs modules orig_head packed-refs shallow worktrees';
const REPOSITORY = [...MARKS, ...PARTS.split(' ')];

export interface UndoOrder {
  /** The folder of the tree and its base. */
  home: string;
  tree: string;
  /** Whose tree it is. */
  id: string;
  removals: Removals;
  /** Rejects when the tree is no longer the one that was looked at. */
  readonly mayGoOn: () => Promise<void>;
  /**
   * Takes back everything that was written in a folder that git takes for a repository; else only what is named as its parts
   * are, at the root only what makes it one. That is not enough where it was one before.
   */
  thorough: boolean;
}

/**
 * Gives what `traps` name in a tree the content of the base again, and takes what is named `.git` out of it. What something else
 * changes meanwhile is left.
 */
export async function undoTraps(
  { changes }: Pick<Comparison, 'changes'>,
  traps: readonly GitTrap[],
  { home, tree, id, removals, mayGoOn, thorough }: UndoOrder,
): Promise<void> {
  const back = new Map<string, Difference>();
  const takeBack = (changed: Difference | undefined): void => {
    if (changed) back.set(changed.path, { path: changed.path, before: changed.after, after: changed.before });
  };
  for (const { path, kind } of traps) {
    await mayGoOn();
    if (kind === 'git_entry') {
      await takeOut(tree, path, home, removals);
    } else if (kind === 'bare_repository') {
      const folder = path === './' ? '' : path;
      const names = folder === '' ? MARKS : REPOSITORY;
      for (const change of changes) {
        if (!change.path.startsWith(folder) || !isWritten(change)) continue;
        const [name = ''] = change.path.slice(folder.length).split('/');
        if (thorough || names.includes(foldedName(name))) takeBack(change);
      }
    } else takeBack(changes.find((change) => change.path === path));
  }
  if (back.size === 0) return;
  const sorted = [...back.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  const undoing = new Publication(tree, new BaseContent(home), id, sorted, {
    over: new Map(),
    anyLinks: true,
    mayGoOn,
  });
  await undoing.conflicts();
  await undoing.apply();
}

/** Moves an entry, whatever it is and holds, out of the tree, to be removed apart. */
async function takeOut(tree: string, path: string, home: string, removals: Removals): Promise<void> {
  const folder = path.split('/');
  const name = folder.pop() ?? '';
  const moved = join(home, `undone-${randomUUID()}`);
  await inDirectory(tree, folder, async (directory) => {
    await directory.assertInside();
    await rename(directory.at(name), moved);
  });
  await removals.take(moved);
}
