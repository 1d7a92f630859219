import { join } from 'node:path';
import { DomainError } from '../../../platform/errors/index.js';
import { Directory } from '../boundary/directory.js';
import { removeTree } from '../boundary/tree-walk.js';
import type { FileRecord, Manifest } from './file-record.js';
import { copyRepositoryObjects, copyRepositoryState, listWorkingFiles } from './git-history.js';
import { TreeBudget, type TreeLimits } from './tree-budget.js';
import { copyTree } from './tree-copy.js';

/** What a new tree began with. */
export interface FilledTree {
  base: Manifest;
  /** Whether the tree has a `.git` of its own. */
  history: 'cloned' | 'none' | 'too_large';
}

/**
 * Fills the empty folders `base` and `tree` from `workspace`: both get the same files, which are hashed as they are read, and
 * the tree gets the repository, if the workspace is one. Then what is ignored is left out.
 * @throws DomainError `workspace_too_large`.
 */
export async function fillTree(
  workspace: string,
  base: string,
  tree: string,
  limits: TreeLimits,
  signal?: AbortSignal,
): Promise<FilledTree> {
  const records = new Map<string, FileRecord>();
  const budget = new TreeBudget(limits);
  let history: FilledTree['history'] = 'none';
  await inDirectories([workspace, base, tree], async (from, toBase, toTree) => {
    const isRepository = await copyRepositoryState(from, toTree, budget);
    const listed = isRepository ? await listWorkingFiles(join(tree, '.git'), workspace, signal) : null;
    await copyTree(from, toBase, {
      budget,
      signal,
      include: listed === null ? undefined : belongsTo(listed),
      onCopied: (path, record) => records.set(path, record),
    });
    await copyTree(toBase, toTree, { budget: new TreeBudget(limits), signal, trusted: true });
    if (listed !== null) history = await cloneObjects(from, toTree, limits);
    if (history !== 'cloned') await removeTree(toTree, '.git');
  });
  return { base: records, history };
}

async function cloneObjects(from: Directory, to: Directory, limits: TreeLimits): Promise<'cloned' | 'too_large'> {
  try {
    await copyRepositoryObjects(from, to, new TreeBudget(limits));
    return 'cloned';
  } catch (error) {
    if (error instanceof DomainError) return 'too_large';
    throw error;
  }
}

/** A filter for walks: the listed paths, the folders on the way to them, and all that is in listed folders. */
function belongsTo(listed: ReadonlySet<string>): (path: string, isFolder: boolean) => boolean {
  const ways = new Set<string>();
  for (const path of listed) {
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) ways.add(path.slice(0, end));
  }
  const isWithin = (path: string): boolean => {
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) {
      if (listed.has(path.slice(0, end))) return true;
    }
    return false;
  };
  return (path, isFolder) => listed.has(path) || (isFolder && ways.has(path)) || isWithin(path);
}

async function inDirectories(
  paths: readonly [string, string, string],
  work: (...directories: [Directory, Directory, Directory]) => Promise<void>,
): Promise<void> {
  const open: Directory[] = [];
  try {
    for (const path of paths) open.push(await Directory.root(path));
    await work(...(open as [Directory, Directory, Directory]));
  } finally {
    for (const directory of open) await directory.close();
  }
}
