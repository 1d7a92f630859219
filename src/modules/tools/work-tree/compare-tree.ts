import { createHash } from 'node:crypto';
import { closeSync, fstatSync, readSync } from 'node:fs';
import { isTemporaryName } from '../boundary/directory.js';
import { isGitName } from '../boundary/relative-path.js';
import type { EntryKind } from '../boundary/tree-walk.js';
import { GitTrapSearch, isAttributesName, isModulesName, type GitTraps } from './git-traps.js';
import { readText } from './repository.js';
import { BasePack, type BaseEntry } from './base-record.js';
import { linkRecord, type FileRecord } from './file-record.js';
import { findEntries } from './find-entries.js';
import { OpenFolder, within } from './open-folder.js';
import { TreeBudget, type TreeLimits } from './tree-budget.js';
import type { Difference } from './tree-diff.js';
import { MAX_DEPTH, unreadable } from './unreadable.js';
import { readBase } from './repack-base.js';

export interface CompareOrder {
  /** The folder of the task's trees. */
  home: string;
  tree: string;
  limits: TreeLimits;
}

/** How a tree differs from its base. */
export interface Comparison {
  /** Sorted by path; `.git` is left out. */
  changes: Difference[];
  /** The parts of the changes that git would obey, `.git` included; null for nothing. */
  traps: GitTraps | null;
  /** The folders among the traps that are repositories, with a slash at their end; nothing for the root. */
  repositories: string[];
}

const CHUNK_BYTES = 1024 * 1024;
/** Of a file that git reads rules from; a longer one counts as one that nobody can judge. */
const MOST_RULE_BYTES = 1024 * 1024;

/**
 * Compares `tree` with its base. Every file is looked at, and only those are read that are not the very ones the tree was
 * filled with. Runs in a worker thread.
 * @throws DomainError `workspace_too_large`, `workspace_unreadable`.
 */
export function compareTree({ home, tree, limits }: CompareOrder): Comparison {
  const base = readBase(home);
  const pack = new BasePack(home);
  const budget = new TreeBudget(limits, 'work tree');
  const found: Difference[] = [];
  const search = new GitTrapSearch();
  const seen = new Set<string>();
  const recordOf = (entry: BaseEntry): FileRecord => ({
    type: entry.type,
    sha256: pack.hashOf(entry),
    size: entry.size,
    at: entry.at,
  });
  const compare = (folder: OpenFolder, path: string, kind: EntryKind): void => {
    const name = path.slice(path.lastIndexOf('/') + 1);
    const after = kind === 'link' ? linkOf(folder, name) : fileOf(folder, path, budget);
    if (after === null) return;
    seen.add(path);
    const entry = base.get(path);
    const before = entry === undefined ? null : recordOf(entry);
    if (before?.type === after.type && before.sha256 === after.sha256) return;
    found.push({ path, before, after });
    if (isAttributesName(name) || isModulesName(name)) {
      search.ruleFile(path, kind === 'link' ? null : readText(folder, name, MOST_RULE_BYTES));
    }
  };
  const look = (root: OpenFolder): void => {
    const folders = new Map<string, { name: string; kind: EntryKind }[]>();
    /** The folder of which nothing is looked at, with its slash. */
    let passedOver = '/';
    for (const { path, kind, size, stamp, depth } of findEntries(root)) {
      if (path.startsWith(passedOver)) continue;
      const prefix = path.slice(0, path.lastIndexOf('/') + 1);
      const name = path.slice(prefix.length);
      if (isTemporaryName(name) || isGitName(name)) passedOver = `${path}/`;
      if (isTemporaryName(name)) continue;
      const beside = folders.get(prefix);
      if (beside === undefined) folders.set(prefix, [{ name, kind }]);
      else beside.push({ name, kind });
      if (isGitName(name)) continue;
      if (kind === 'folder' && depth > MAX_DEPTH) {
        throw unreadable(path, `in the work tree is nested more than ${MAX_DEPTH} folders deep`);
      }
      if (kind === 'folder' || kind === 'other') continue;
      budget.charge(size);
      if (base.get(path)?.stamp === stamp) seen.add(path);
      else inFolder(root, prefix, (folder) => compare(folder, path, kind));
    }
    for (const [prefix, entries] of folders) search.folder(prefix, entries);
  };
  try {
    const root = OpenFolder.root(tree);
    try {
      look(root);
    } finally {
      root.close();
    }
    for (const [path, entry] of base) {
      // A base of before may hold what is a spelling of `.git`, which no walk sees.
      if (seen.has(path) || path.split('/').some(isGitName)) continue;
      found.push({ path, before: recordOf(entry), after: null });
    }
    const written = found.filter(isWritten).map(({ path }) => path);
    const attributesAtBase = (): string[] =>
      [...base].flatMap(([path, entry]) => {
        const isRead = isAttributesName(path.slice(path.lastIndexOf('/') + 1)) && entry.size <= MOST_RULE_BYTES;
        return isRead ? [pack.textOf(entry)] : [];
      });
    const changes = found.sort((a, b) => (a.path < b.path ? -1 : 1));
    const repositories = search.changedRepositories(written);
    return { changes, traps: search.found(written, attributesAtBase), repositories };
  } finally {
    pack.close();
  }
}

/** Whether there is content at the path that was not there before. */
export function isWritten({ before, after }: Difference): boolean {
  return after !== null && (before?.sha256 !== after.sha256 || (before.type === 'link') !== (after.type === 'link'));
}

/** Uses the folder at `way`, which is empty for `root` itself and ends with a slash else; not when it is gone. */
function inFolder(root: OpenFolder, way: string, use: (folder: OpenFolder) => void): void {
  if (way === '') return use(root);
  const end = way.indexOf('/');
  within(root.folder(way.slice(0, end)), (inner) => inFolder(inner, way.slice(end + 1), use));
}

function linkOf(folder: OpenFolder, name: string): FileRecord | null {
  const target = folder.linkTarget(name);
  return target === null ? null : linkRecord(target);
}

function fileOf(folder: OpenFolder, path: string, budget: TreeBudget): FileRecord | null {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const descriptor = folder.file(name);
  if (descriptor === null) {
    // A file that is there and cannot be opened is not a deleted one.
    if (folder.stat(name)?.isFile() === true) throw unreadable(path, 'in the work tree may not be read');
    return null;
  }
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) return null;
    const hash = createHash('sha256');
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, stat.size + 1));
    let size = 0;
    for (;;) {
      const bytes = readSync(descriptor, chunk, 0, chunk.length, null);
      hash.update(chunk.subarray(0, bytes));
      size += bytes;
      if (size > stat.size) budget.grow(bytes);
      if (bytes < chunk.length) break;
    }
    return { type: (stat.mode & 0o100) === 0 ? 'file' : 'executable', sha256: hash.digest('hex'), size };
  } finally {
    closeSync(descriptor);
  }
}
