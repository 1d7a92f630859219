import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { GitUser } from '../../../config/index.js';
import { isTemporaryName } from '../boundary/directory.js';
import { isGitName } from '../boundary/relative-path.js';
import { copyRepositoryState } from './git-history.js';
import { OpenFolder, within } from './open-folder.js';
import { hasRepository, openRepository, type Repository } from './repository.js';
import { TreeBudget, type TreeLimits } from './tree-budget.js';
import { MAX_DEPTH, unreadable } from './unreadable.js';
import { listWorkingFiles, type WorkingFiles } from './working-files.js';

/** Callbacks for each thing that a walk meets. */
export interface Visitor {
  /** Before what is in the folder; not for the workspace itself. */
  folder(path: string): void;
  /** After what is in the folder, the workspace itself too. */
  leave?(folder: OpenFolder): void;
  file(folder: OpenFolder, path: string, name: string, kind: 'file' | 'link'): void;
}

/** Which entries of a folder are taken: all of them, or what git lists, by the part of the path after `skip` characters. */
type Rule = { working: WorkingFiles; skip: number } | null;

/** Repositories inside the workspace, each of which git is asked about. */
const MOST_NESTED = 200;

/** Walks over what a tree of the workspace holds: what is ignored is passed over, in repositories inside it too. */
export class WorkspaceWalk {
  private readonly nested = new Map<string, Rule>();
  private readonly rule: Rule;

  /**
   * @param scratch A folder to work in, which is left empty.
   * @param working What git lists where the workspace is a repository.
   */
  constructor(
    private readonly scratch: string,
    private readonly limits: TreeLimits,
    private readonly user: GitUser,
    working: WorkingFiles | null,
  ) {
    this.rule = working === null ? null : { working, skip: 0 };
  }

  /** @throws DomainError `workspace_unreadable`. */
  run(from: OpenFolder, visitor: Visitor): void {
    this.folder(from, visitor, '', this.rule, 0);
  }

  /** Whether there are repositories inside the workspace. */
  get metRepositories(): boolean {
    return this.nested.size > 0;
  }

  private folder(from: OpenFolder, visitor: Visitor, prefix: string, rule: Rule, depth: number): void {
    if (depth > MAX_DEPTH) throw unreadable(prefix, `is nested more than ${MAX_DEPTH} folders deep`);
    for (const { name, kind } of from.entries()) {
      if (isTemporaryName(name) || isGitName(name)) continue;
      const path = prefix + name;
      if (kind === 'folder') within(from.folder(name), (inner) => this.inner(inner, visitor, path, rule, depth));
      else if (kind !== 'other' && (rule === null || rule.working.has(path.slice(rule.skip)))) {
        visitor.file(from, path, name, kind);
      }
    }
    visitor.leave?.(from);
  }

  private inner(from: OpenFolder, visitor: Visitor, path: string, rule: Rule, depth: number): void {
    const listed = rule === null || rule.working.has(path.slice(rule.skip));
    let next = rule;
    if (listed && hasRepository(from)) next = this.ruleOf(from, path);
    // Listed and leading nowhere is a submodule that is not checked out: nobody knows what is ignored in it.
    else if (rule !== null && !rule.working.leadsTo(path.slice(rule.skip))) return;
    visitor.folder(path);
    this.folder(from, visitor, `${path}/`, next, depth + 1);
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
      const working = workingFilesOf(folder, repository, this.scratch, this.limits, this.user, label);
      const rule = { working, skip: label.length };
      this.nested.set(path, rule);
      return rule;
    } finally {
      repository.close();
    }
  }
}

/** Asks git with a copy of what the repository has, which is gone afterwards. */
export function workingFilesOf(
  folder: OpenFolder,
  repository: Repository,
  scratch: string,
  limits: TreeLimits,
  user: GitUser,
  label = '',
): WorkingFiles {
  const copied = mkdtempSync(join(scratch, 'state-'));
  try {
    const state = OpenFolder.root(copied);
    try {
      copyRepositoryState(repository, state, new TreeBudget(limits), label);
    } finally {
      state.close();
    }
    return listWorkingFiles(folder, repository, join(copied, '.git'), user, label);
  } finally {
    rmSync(copied, { recursive: true });
  }
}
