import { stampOf, writeBase, type BaseRecord } from './base-record.js';
import { FileCopier } from './file-copier.js';
import { OpenFolder, within } from './open-folder.js';
import { TreeBudget, type TreeLimits } from './tree-budget.js';
import { MAX_DEPTH, unreadable } from './unreadable.js';
import { readBase } from './repack-base.js';

export interface TakeOverOrder {
  /** The folder of the task's trees, whose record is rewritten for the copy. */
  home: string;
  from: string;
  /** Empty. */
  to: string;
  limits: TreeLimits;
}

/**
 * Copies the tree `from`, into which commands may still be writing, with its `.git` and its empty folders. Of what is as it was
 * filled the record learns how the copy looks, so that looking at it later reads as little. Runs in a worker thread.
 * @throws DomainError `workspace_too_large`, `workspace_unreadable`.
 */
export function takeOverTree({ home, from, to, limits }: TakeOverOrder): void {
  const base = readBase(home);
  const record: BaseRecord = new Map([...base].map(([path, entry]) => [path, { ...entry, stamp: '' }]));
  const copier = new FileCopier(new TreeBudget(limits));
  const copyFolder = (source: OpenFolder, into: OpenFolder, prefix: string, depth: number): void => {
    if (depth > MAX_DEPTH) throw unreadable(prefix, `in the work tree is nested more than ${MAX_DEPTH} folders deep`);
    for (const { name, kind } of source.entries()) {
      const path = prefix + name;
      if (kind === 'folder') {
        copier.makeFolder(into, name);
        within(source.folder(name), (inner) =>
          within(into.folder(name), (copy) => copyFolder(inner, copy, `${path}/`, depth + 1)),
        );
        continue;
      }
      if (kind === 'other') continue;
      const copied = kind === 'file' ? copier.copy(source, into, name) : copier.copyLink(source, into, name);
      const before = base.get(path);
      if (copied === null || before?.stamp !== copied.source) continue;
      // Commands of the earlier lease may have written while it was read.
      const after = source.stat(name);
      if (after !== null && stampOf(after) === copied.source) record.set(path, { ...before, stamp: copied.stamp });
    }
  };
  const source = OpenFolder.root(from);
  try {
    const into = OpenFolder.root(to);
    try {
      copyFolder(source, into, '', 0);
    } finally {
      into.close();
    }
  } finally {
    source.close();
  }
  writeBase(home, record);
}
