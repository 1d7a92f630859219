import { lstatSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { shareFile, writeBase, type BaseRecord } from './base-record.js';
import { copyKeptState, copyRepositoryObjects } from './git-history.js';
import { PACK, readMoment, STATE } from './moment.js';
import { NewFiles } from './new-files.js';
import { OpenFolder } from './open-folder.js';
import { openRepository } from './repository.js';
import type { TreeLimits } from './tree-budget.js';
import { BASE } from './tree-home.js';
import { unreadable } from './unreadable.js';

/** Whether a new tree has a `.git` of its own; if not, why. */
export type TreeHistory = 'cloned' | 'none' | 'too_large' | 'elsewhere';

export interface FillOrder {
  workspace: string;
  /** The folder of the moment of the workspace that the tree begins with. */
  moment: string;
  /** The folder of the task's trees, in which the base is written. */
  home: string;
  /** The empty folder to be filled, which nobody else knows; what is written belongs to its owner. */
  tree: string;
  limits: TreeLimits;
}

/** Longer than between two ticks of any kernel's clock for files. */
const CLOCK_TICK_MS = 12;

/**
 * Fills the empty `tree` with what the workspace held at `moment` and writes the base, whose pack is the moment's. A repository's
 * objects are copied last, from the workspace as it is: whatever the state of the moment names is among them. Runs in a worker thread.
 * @throws DomainError `workspace_unreadable`.
 */
export function fillTree({ workspace, moment: folder, home, tree, limits }: FillOrder): TreeHistory {
  const moment = readMoment(folder);
  if (moment === null) throw new Error('The moment of the workspace is gone.');
  shareFile(join(folder, PACK), join(home, BASE));
  const files = new NewFiles(tree, join(home, BASE));
  const record: BaseRecord = new Map();
  try {
    for (const path of moment.folders) files.makeFolder(path);
    // In the order of their content, which is then read as it lies.
    const sorted = [...moment.files].sort(([, a], [, b]) => a.at - b.at);
    for (const [path, file] of sorted) record.set(path, files.make(path, file));
  } finally {
    files.close();
  }
  const history = fillHistory(workspace, join(folder, STATE), tree, limits);
  writeBase(home, record);
  // Whatever is written from here on has a later change time than what was filled: the kernel's clock has its ticks.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, CLOCK_TICK_MS);
  return history;
}

function fillHistory(workspace: string, kept: string, tree: string, limits: TreeLimits): TreeHistory {
  if (lstatSync(kept, { throwIfNoEntry: false }) === undefined) return 'none';
  const open: { close(): void }[] = [];
  const held = <T extends { close(): void }>(one: T): T => {
    open.push(one);
    return one;
  };
  try {
    const repository = openRepository(held(OpenFolder.root(workspace)));
    if (repository === null) throw unreadable('.git', 'went away while a tree was filled');
    held(repository);
    if (!repository.isWhole) return 'elsewhere';
    const into = held(OpenFolder.root(tree));
    copyKeptState(held(OpenFolder.root(kept)), into, limits);
    if (copyRepositoryObjects(repository, into, limits)) return 'cloned';
    rmSync(into.at('.git'), { recursive: true });
    return 'too_large';
  } finally {
    for (const one of open.reverse()) one.close();
  }
}
