import { createHash } from 'node:crypto';
import { closeSync, fstatSync, readSync } from 'node:fs';
import { isTemporaryName } from '../boundary/directory.js';
import { isGitName } from '../boundary/relative-path.js';
import { GitTrapSearch, isAttributesName, isModulesName, type GitTraps } from './git-traps.js';
import { readText } from './repository.js';
import { BasePack, stampOf, type BaseEntry } from './base-record.js';
import { linkRecord, type FileRecord } from './file-record.js';
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
  /** What in the changes git would obey, `.git` included; null for nothing. */
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
  const look = (folder: OpenFolder, prefix: string, depth: number): void => {
    if (depth > MAX_DEPTH) throw unreadable(prefix, `in the work tree is nested more than ${MAX_DEPTH} folders deep`);
    const entries = folder.entries().filter(({ name }) => !isTemporaryName(name));
    search.folder(prefix, entries);
    for (const { name, kind } of entries) {
      if (isGitName(name)) continue;
      const path = prefix + name;
      if (kind === 'folder') {
        within(folder.folder(name), (inner) => look(inner, `${path}/`, depth + 1));
        continue;
      }
      if (kind === 'other') continue;
      const stat = folder.stat(name);
      if (stat === null) continue;
      budget.charge(Number(stat.size));
      const entry = base.get(path);
      if (entry !== undefined && entry.stamp === stampOf(stat)) {
        seen.add(path);
        continue;
      }
      const after = kind === 'link' ? linkOf(folder, name) : fileOf(folder, name, budget);
      if (after === null) continue;
      seen.add(path);
      const before = entry === undefined ? null : recordOf(entry);
      if (before?.type === after.type && before.sha256 === after.sha256) continue;
      found.push({ path, before, after });
      if (isAttributesName(name) || isModulesName(name)) {
        search.ruleFile(path, kind === 'link' ? null : readText(folder, name, MOST_RULE_BYTES));
      }
    }
  };
  try {
    const root = OpenFolder.root(tree);
    try {
      look(root, '', 0);
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

function linkOf(folder: OpenFolder, name: string): FileRecord | null {
  const target = folder.linkTarget(name);
  return target === null ? null : linkRecord(target);
}

function fileOf(folder: OpenFolder, name: string, budget: TreeBudget): FileRecord | null {
  const descriptor = folder.file(name);
  if (descriptor === null) return null;
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
