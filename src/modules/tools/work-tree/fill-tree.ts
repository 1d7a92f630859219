import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { GitUser } from '../../../config/index.js';
import { isTemporaryName } from '../boundary/directory.js';
import { isGitName } from '../boundary/relative-path.js';
import { PackWriter, stampOf, writeBase, type BaseRecord } from './base-record.js';
import { FileCopier, type Copied } from './file-copier.js';
import { copyRepositoryObjects, copyRepositoryState } from './git-history.js';
import { OpenFolder, within } from './open-folder.js';
import { hasRepository, openRepository, type Repository } from './repository.js';
import { TreeBudget, type TreeLimits } from './tree-budget.js';
import { MAX_DEPTH, unreadable } from './unreadable.js';
import { listWorkingFiles, type WorkingFiles } from './working-files.js';

/** What a new tree began with. */
export interface FilledTree {
  /** Whether the tree has a `.git` of its own; if not, why. */
  history: 'cloned' | 'none' | 'too_large' | 'elsewhere';
  /** Files that kept changing while they were copied: the tree holds them as they were at different moments. */
  moving: string[];
}

export interface FillOrder {
  workspace: string;
  /** The folder of the task's trees, in which the base is written. */
  home: string;
  /** The empty folder to be filled; what is copied belongs to its owner. */
  tree: string;
  limits: TreeLimits;
  /** Whose rules of what is ignored hold beside those of a repository. */
  user: GitUser;
}

/** Passes over a workspace that is being written; each copies what changed since the one before. */
const MOST_PASSES = 4;
/** Longer than between two ticks of any kernel's clock for files. */
const CLOCK_TICK_MS = 20;
/** Repositories inside the workspace, each of which git is asked about. */
const MOST_NESTED = 200;

/**
 * Fills the empty `tree` from `workspace` and writes the base: the same content in one pack, and its record. What is ignored is
 * left out, in repositories inside the workspace too; if the workspace is a repository, the tree gets a copy of it. Runs in a
 * worker thread.
 * @throws DomainError `workspace_too_large`, `workspace_unreadable`.
 */
export function fillTree({ workspace, home, tree, limits, user }: FillOrder): FilledTree {
  const open: { close(): void }[] = [];
  const held = <T extends { close(): void }>(one: T): T => {
    open.push(one);
    return one;
  };
  try {
    const from = held(OpenFolder.root(workspace));
    const into = held(OpenFolder.root(tree));
    const repository = openRepository(from);
    let working: WorkingFiles | null = null;
    if (repository !== null) {
      held(repository);
      copyRepositoryState(repository, into, new TreeBudget(limits));
      working = listWorkingFiles(from, repository, join(tree, '.git'), user);
    }
    const pack = held(new PackWriter(home));
    const fill = new Fill(home, limits, user, pack, working);
    const moving = fill.run(from, into);
    let history: FilledTree['history'] = 'none';
    if (repository !== null) {
      history = repository.isWhole ? 'cloned' : 'elsewhere';
      if (history === 'cloned' && !copyRepositoryObjects(repository, into, limits)) history = 'too_large';
      if (history !== 'cloned') rmSync(into.at('.git'), { recursive: true });
    }
    pack.flush();
    writeBase(home, fill.record);
    // Whatever is written from here on has a later change time than what was filled: the kernel's clock has its ticks.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, CLOCK_TICK_MS);
    return { history, moving };
  } finally {
    for (const one of open.reverse()) one.close();
  }
}

/** Which entries of a folder are taken: all of them, or what git lists, by the part of the path after `skip` characters. */
type Rule = { working: WorkingFiles; skip: number } | null;

export interface ListOrder {
  workspace: string;
  /** A folder to work in, which is left empty. */
  scratch: string;
  limits: TreeLimits;
  /** Whose rules of what is ignored hold beside those of a repository. */
  user: GitUser;
}

/**
 * The paths that `fillTree` would take now, with NUL between them; null where that is every file. Runs in a worker thread.
 * @throws DomainError `workspace_too_large`, `workspace_unreadable`.
 */
export function listTree({ workspace, scratch, limits, user }: ListOrder): string | null {
  const from = OpenFolder.root(workspace);
  try {
    const repository = openRepository(from);
    try {
      const fill = new Fill(scratch, limits, user, null, null);
      const paths = fill.list(from, repository === null ? null : fill.workingFiles(from, repository, ''));
      return repository === null && !fill.metRepositories ? null : paths.join('\0');
    } finally {
      repository?.close();
    }
  } finally {
    from.close();
  }
}

class Fill {
  readonly record: BaseRecord = new Map();
  /** What the source of each copied path looked like. */
  private readonly sources = new Map<string, string>();
  private readonly nested = new Map<string, Rule>();
  private readonly rule: Rule;
  private pass = 0;
  private seen = new Set<string>();
  private changed: string[] = [];
  private readonly listed: TreeBudget;
  private copier: FileCopier;

  constructor(
    private readonly home: string,
    private readonly limits: TreeLimits,
    private readonly user: GitUser,
    private readonly pack: PackWriter | null,
    working: WorkingFiles | null,
  ) {
    this.rule = working === null ? null : { working, skip: 0 };
    this.listed = new TreeBudget(limits);
  }

  /** Copies until a pass finds nothing that changed: then all is of one moment. Names what changed in the last pass. */
  run(from: OpenFolder, into: OpenFolder): string[] {
    for (this.pass = 1; this.pass <= MOST_PASSES; this.pass++) {
      this.seen = new Set();
      this.changed = [];
      this.copier = new FileCopier(new TreeBudget(this.limits), this.pack);
      this.folder(from, into, '', this.rule, 0);
      this.removeVanished(into);
      if (this.changed.length === 0) return [];
    }
    return this.changed.sort();
  }

  /** The paths that would be copied; nothing is. */
  list(from: OpenFolder, working: WorkingFiles | null): string[] {
    this.copier = new FileCopier(new TreeBudget(this.limits));
    this.folder(from, null, '', working === null ? null : { working, skip: 0 }, 0);
    return this.changed;
  }

  /** Whether there are repositories inside the workspace. */
  get metRepositories(): boolean {
    return this.nested.size > 0;
  }

  private folder(from: OpenFolder, into: OpenFolder | null, prefix: string, rule: Rule, depth: number): void {
    if (depth > MAX_DEPTH) throw unreadable(prefix, `is nested more than ${MAX_DEPTH} folders deep`);
    for (const { name, kind } of from.entries()) {
      if (isTemporaryName(name) || isGitName(name)) continue;
      const path = prefix + name;
      if (kind === 'folder') within(from.folder(name), (inner) => this.inner(inner, into, path, name, rule, depth));
      else if (kind !== 'other' && (rule === null || rule.working.has(path.slice(rule.skip)))) {
        this.one(from, into, path, name, kind);
      }
    }
  }

  private inner(
    from: OpenFolder,
    into: OpenFolder | null,
    path: string,
    name: string,
    rule: Rule,
    depth: number,
  ): void {
    const listed = rule === null || rule.working.has(path.slice(rule.skip));
    let next = rule;
    if (listed && hasRepository(from)) next = this.ruleOf(from, path);
    // Listed and leading nowhere is a submodule that is not checked out: nobody knows what is ignored in it.
    else if (rule !== null && !rule.working.leadsTo(path.slice(rule.skip))) return;
    if (into === null) return this.folder(from, null, `${path}/`, next, depth + 1);
    this.copier.makeFolder(into, name);
    let copy = into.folder(name);
    if (copy === null) {
      rmSync(into.at(name));
      this.copier.makeFolder(into, name);
      copy = into.folder(name);
    }
    within(copy, (inside) => this.folder(from, inside, `${path}/`, next, depth + 1));
  }

  /** The rule of a repository inside the workspace, submodule or not. Its own `.git` is not taken. */
  private ruleOf(folder: OpenFolder, path: string): Rule {
    const known = this.nested.get(path);
    if (known !== undefined) return known;
    if (this.nested.size >= MOST_NESTED) {
      throw unreadable(path, `is one repository too many: the workspace holds more than ${MOST_NESTED}`);
    }
    const label = `${path}/`;
    const repository = openRepository(folder, label);
    if (repository === null) return null;
    try {
      const rule = { working: this.workingFiles(folder, repository, label), skip: label.length };
      this.nested.set(path, rule);
      return rule;
    } finally {
      repository.close();
    }
  }

  /** Asks git with a copy of what the repository has, which is gone afterwards. */
  workingFiles(folder: OpenFolder, repository: Repository, label: string): WorkingFiles {
    const scratch = mkdtempSync(join(this.home, 'state-'));
    try {
      const state = OpenFolder.root(scratch);
      try {
        copyRepositoryState(repository, state, new TreeBudget(this.limits), label);
      } finally {
        state.close();
      }
      return listWorkingFiles(folder, repository, join(scratch, '.git'), this.user, label);
    } finally {
      rmSync(scratch, { recursive: true });
    }
  }

  private one(from: OpenFolder, into: OpenFolder | null, path: string, name: string, kind: 'file' | 'link'): void {
    if (into === null) {
      this.changed.push(path);
      this.listed.charge(0);
      return;
    }
    const known = this.sources.get(path);
    if (known !== undefined) {
      const now = from.stat(name);
      if (now !== null && stampOf(now) === known) {
        this.seen.add(path);
        return;
      }
    }
    // What an earlier pass put there; in the first one there is nothing, and asking costs more than a small file does.
    if (this.pass > 1) rmSync(into.at(name), { recursive: true, force: true });
    const copied: Copied | null =
      kind === 'file' ? this.copier.copy(from, into, name) : this.copier.copyLink(from, into, name);
    if (copied === null) return;
    const { source, ...entry } = copied;
    this.sources.set(path, source);
    this.record.set(path, entry);
    this.seen.add(path);
    this.changed.push(path);
  }

  private removeVanished(into: OpenFolder): void {
    for (const path of this.record.keys()) {
      if (this.seen.has(path)) continue;
      this.changed.push(path);
      this.record.delete(path);
      this.sources.delete(path);
      // Nobody else knows the new tree, so its paths lead where they say.
      rmSync(into.at(path), { recursive: true, force: true });
    }
  }
}
