import { createHash } from 'node:crypto';
import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { chown, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AppConfig, gitUser } from '../../../config/index.js';
import { DomainError } from '../../../platform/errors/index.js';
import { makeFolder } from '../../../platform/folders/index.js';
import { inDirectory } from '../boundary/directory.js';
import { errorCode, PathRefusedError } from '../boundary/path-refused.js';
import { KeyedQueue } from '../../../platform/concurrency/index.js';
import { BOX_USER } from '../sandbox/box-user.js';
import { temporaryFolder } from '../temporary-folder.js';
import { contentOf } from './file-record.js';
import { Moments } from './moments.js';
import { Publication, type Conflict } from './publication.js';
import { BaseContent, TreeContent } from './recorded-content.js';
import { Removals } from './removals.js';
import type { TreeLimits } from './tree-budget.js';
import type { Comparison } from './compare-tree.js';
import type { GitTrap, GitTraps } from './git-traps.js';
import { undoTraps } from './undo-traps.js';
import { withTrapsInWorkspace } from './workspace-traps.js';
import { TreeLook } from './tree-look.js';
import { contentHash, describeChanges, type TreeChange, type TreeDiff } from './tree-diff.js';
import { epochsIn, fence, lstatOrNull, namesIn, notePublished, publishedPaths } from './tree-home.js';
import { runTreeJob } from './tree-jobs.js';
import { doubled, TreeMaker, WorkTreeFencedError } from './tree-maker.js';

/** The folder one task works in during one lease. */
export interface WorkTree {
  readonly taskId: string;
  readonly epoch: number;
  /** What tools get as `ToolContext.root`. */
  readonly root: string;
}

export interface PublishOptions {
  /** Versions of the workspace, as conflicts name them, over which the task's wins: by path. */
  over?: Iterable<readonly [path: string, version: string]>;
  /** The `contentHash` that was approved; anything else is refused. */
  contentHash?: string;
  /** The `hash` of the traps for git that a person has let pass; with any others nothing is published. */
  releasedTraps?: string;
  /** Publishes the other files although some are in conflict, which stay as the workspace has them: no person will be asked. */
  passOverConflicts?: boolean;
  signal?: AbortSignal;
}

/** What `undoTraps` took back. */
export interface UndoneTraps {
  /** The first few, and how many there were in all. */
  undone: GitTrap[];
  total: number;
  /** There is still more than can be taken back piece by piece. */
  isOpen: boolean;
}

/** The obstacles of a publication; nothing of either is a success. Where conflicts were passed over, these are they. */
export interface Published {
  conflicts: Conflict[];
  /** The changes that the owner's git would obey and nobody has released: nothing was written. */
  traps?: GitTraps;
}

/** How the task of a tree has ended: `given_up` is any end but `complete`. */
export type TaskFate = 'unfinished' | 'complete' | 'given_up';

const TASK_ID = /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/;

/** How often traps are taken back and looked for again: each time as many as are listed. */
const UNDO_ROUNDS = 5;

/** How often a look begins anew that lost its tree to a later lease. */
const LOOKS = 3;

/** Trees that `sweep` leaves alone although it was not told of them: their task may be younger than its list. */
const SWEEP_AGE_MS = 60 * 60 * 1000;

/**
 * The trees that tasks work in, under `<data folder>/trees/<task>/`. What is called a task here is one life of one: whoever
 * removes the trees of a life that is over cannot meet those of the next.
 *
 * - `tree-<epoch>` is the tree itself, `base` the content of what the workspace held when the task began, `base.json` where in
 *   it each path is, and what the tree's file looked like when it was filled: only what looks otherwise is ever read.
 * - A newer epoch takes the older tree's name away (`fenced-<epoch>`), so that every path of the older one leads nowhere,
 *   and goes on with a copy, so that commands it left running, which a renamed folder would not shake off, write to
 *   what nobody reads any more.
 * - `published.json` names the paths that were about to be published, for a task that ends otherwise.
 * - Whatever is made is made under a temporary name and renamed when it is whole.
 *
 * Walks and copies run in threads (`runTreeJob`), removals apart (`Removals`). Nothing here runs a program on a tree, follows a link in one, or trusts a name in one.
 */
@Injectable()
export class WorkTrees implements OnModuleInit, OnApplicationShutdown {
  protected readonly limits: TreeLimits;
  private readonly logger = new Logger(WorkTrees.name);
  private readonly turns = new KeyedQueue();
  private readonly folder: string;
  private readonly removals: Removals;
  private readonly moments: Moments;
  private readonly maker: TreeMaker;

  constructor(private readonly config: AppConfig) {
    this.folder = join(config.dataDir, 'trees');
    this.removals = new Removals(join(config.dataDir, 'removed-trees'));
    this.moments = new Moments(join(config.dataDir, 'moments'), this.removals);
    this.maker = new TreeMaker(this.moments, this.removals);
    this.limits = config.trees;
  }

  /** Makes the workspace, so that tools find one; a failure shows again in each call that needs it. Goes on removing. */
  async onModuleInit(): Promise<void> {
    await this.sweepRemovals().catch((error: unknown) => {
      this.logger.warn(`Left-over work trees cannot be removed: ${String(error)}`);
    });
    await this.workspace().catch((error: unknown) => {
      this.logger.warn(`The workspace cannot be made: ${String(error)}`);
    });
  }

  /** Gives back what is kept for the next tree. */
  onApplicationShutdown(): Promise<void> {
    return this.moments.close();
  }

  /**
   * The tree of `taskId` for the lease `epoch`: made from the workspace the first time, found again later. For a repository
   * it has a `.git` of its own, with the workspace's uncommitted changes and without what is ignored.
   * @throws DomainError `workspace_too_large`; WorkTreeFencedError when a later epoch has it.
   */
  open(taskId: string, epoch: number, signal?: AbortSignal): Promise<WorkTree> {
    return this.opened(taskId, epoch, false, signal);
  }

  /**
   * `open` for a lease that found no tree when it began: what an earlier one has made since then, though it had lost the task,
   * is not the task's and is removed.
   */
  openFresh(taskId: string, epoch: number, signal?: AbortSignal): Promise<WorkTree> {
    return this.opened(taskId, epoch, true, signal);
  }

  /**
   * Whether a path below the workspace, or what a folder leads to, would be in a tree that is made now; null where all would.
   * @throws DomainError `workspace_too_large`, `workspace_unreadable`.
   */
  async shows(signal?: AbortSignal): Promise<((path: string) => boolean) | null> {
    const workspace = await this.workspace();
    const scratch = await temporaryFolder('list', this.config.dataDir);
    try {
      const listed = await runTreeJob('list', { workspace, scratch, limits: this.limits, user: gitUser() }, signal);
      if (listed === null) return null;
      const shown = new Set<string>();
      for (const path of listed.split('\0')) {
        shown.add(path);
        for (let end = path.lastIndexOf('/'); end !== -1; end = path.lastIndexOf('/', end - 1)) {
          const way = path.slice(0, end);
          if (shown.has(way)) break;
          shown.add(way);
        }
      }
      return (path) => shown.has(path);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }

  private opened(taskId: string, epoch: number, fresh: boolean, signal?: AbortSignal): Promise<WorkTree> {
    const home = this.home(taskId);
    return this.turns.take(home, async () => {
      await makeFolder(this.folder, 0o711);
      if (fresh) {
        const found = await epochsIn(home);
        if (found !== null && Math.max(-1, ...found.trees, ...found.fenced) < epoch) await this.removals.take(home);
      }
      const lease = { taskId, epoch, home };
      if ((await epochsIn(home)) === null) {
        await this.maker.create(lease, { workspace: await this.workspace(), limits: this.limits }, signal);
      }
      const epochs = await epochsIn(home);
      if (epochs && !epochs.trees.includes(epoch)) await this.maker.takeOver(lease, this.limits, signal);
      const now = await epochsIn(home);
      if (now === null || !now.trees.includes(epoch) || Math.max(...now.trees) > epoch) {
        throw new WorkTreeFencedError(taskId, epoch);
      }
      await this.maker.tidy(lease);
      return { taskId, epoch, root: join(home, `tree-${epoch}`) };
    });
  }

  /** Whether the task has a tree, of whatever epoch. */
  async exists(taskId: string): Promise<boolean> {
    return (await epochsIn(this.home(taskId))) !== null;
  }

  /**
   * What the task has changed since its base. `.git` is left out.
   * @throws WorkTreeFencedError when the tree is another's by now; DomainError `workspace_too_large` when it grew too much.
   */
  async diff(tree: WorkTree, signal?: AbortSignal): Promise<TreeDiff> {
    signal?.throwIfAborted();
    const comparison = await this.compare(tree);
    const base = new BaseContent(this.home(tree.taskId));
    return describeChanges(base, new TreeContent(tree.root), comparison, signal);
  }

  /**
   * The whole content of a file that `diff` reported, for rules that must see all of it; null when it is larger than
   * `maxBytes`, or no longer what was reported.
   */
  async read(tree: WorkTree, change: TreeChange, maxBytes = 16 * 1024 * 1024): Promise<Buffer | null> {
    const segments = change.path.split('/');
    const name = segments.pop() ?? '';
    try {
      const content = await inDirectory(tree.root, segments, (directory) => contentOf(directory, name, maxBytes));
      return content !== null && createHash('sha256').update(content).digest('hex') === change.sha256 ? content : null;
    } catch (error) {
      if (error instanceof PathRefusedError) return null;
      throw error;
    }
  }

  /**
   * The task's changes so far, for people who look at it while whoever holds the lease goes on; null where this machine
   * has no tree of the task.
   * @throws DomainError `workspace_too_large`, `workspace_unreadable`.
   */
  async look(taskId: string): Promise<TreeLook | null> {
    const home = this.home(taskId);
    for (let tries = 1; ; tries++) {
      const epochs = await epochsIn(home);
      const newest = Math.max(-1, ...(epochs?.trees ?? []), ...(epochs?.fenced ?? []));
      if (epochs === null || newest === -1) return null;
      const tree = join(home, `${epochs.trees.includes(newest) ? 'tree' : 'fenced'}-${newest}`);
      try {
        const { changes } = await this.comparisonOf(home, tree);
        if ((await lstatOrNull(tree)) !== null) return new TreeLook(home, tree, changes);
      } catch (error) {
        // A later lease takes the tree over, or the task has ended.
        if (errorCode(error) !== 'ENOENT') throw error;
      }
      if (tries === LOOKS) return null;
    }
  }

  /**
   * Brings the task's changes into the workspace. All conflicts are found before anything is written, and if there are any
   * nothing is; a conflict that arises while writing leaves that file alone. Calling it again after a crash, or after it
   * is done, completes it. Publications take turns within one process; between processes it relies on each step being
   * checked right before its rename.
   * @returns what is in conflict; nothing means that the workspace holds the task's version of every file it changed. Where
   *   a folder, a device or a link stands in the way no word of a person helps.
   * @throws DomainError `content_changed` when the tree is not what was approved; WorkTreeFencedError when it is another's.
   */
  async publish(tree: WorkTree, options: PublishOptions = {}): Promise<Published> {
    const workspace = await this.workspace();
    const mayGoOn = async (): Promise<void> => {
      options.signal?.throwIfAborted();
      await this.assertCurrent(tree);
    };
    return this.turns.take(workspace, async () => {
      options.signal?.throwIfAborted();
      const comparison = await this.compare(tree);
      const { changes } = comparison;
      options.signal?.throwIfAborted();
      if (options.contentHash !== undefined && contentHash(changes) !== options.contentHash) {
        throw new DomainError('content_changed', 'The files of the task are not the ones that were reviewed.');
      }
      const obeyed = await withTrapsInWorkspace(workspace, comparison);
      if (obeyed !== null && obeyed.hash !== options.releasedTraps) return { conflicts: [], traps: obeyed };
      const publication = new Publication(workspace, new TreeContent(tree.root), tree.taskId, changes, {
        over: new Map(options.over),
        anyLinks: false,
        mayGoOn,
      });
      const conflicts = await publication.conflicts();
      if (conflicts.length > 0 && !options.passOverConflicts) return { conflicts };
      await mayGoOn();
      await notePublished(this.home(tree.taskId), publication.takesBack);
      return { conflicts: [...conflicts, ...(await publication.apply())] };
    });
  }

  /**
   * Takes back what the owner's git would obey once the tree is published: for work that no person is asked about.
   * @throws DomainError `workspace_too_large`, `workspace_unreadable`; WorkTreeFencedError when the tree is another's.
   */
  async undoTraps(tree: WorkTree, signal?: AbortSignal): Promise<UndoneTraps> {
    const workspace = await this.workspace();
    const home = this.home(tree.taskId);
    const mayGoOn = (): Promise<void> => this.assertCurrent(tree);
    return this.turns.take(home, async () => {
      const undone: GitTrap[] = [];
      let total = 0;
      for (let round = 0; ; round++) {
        signal?.throwIfAborted();
        const comparison = await this.compare(tree);
        const traps = await withTrapsInWorkspace(workspace, comparison);
        if (traps === null || round === UNDO_ROUNDS) return { undone, total, isOpen: traps !== null };
        if (round === 0) {
          undone.push(...traps.listed);
          total = traps.total;
        }
        await undoTraps(comparison, traps.listed, {
          home,
          tree: tree.root,
          id: tree.taskId,
          removals: this.removals,
          mayGoOn,
          thorough: round > 0,
        });
      }
    });
  }

  /**
   * Takes back what was published of a task that will not complete, and removes its trees: each file that still holds the
   * task's version gets the base's again. Whoever is publishing is fenced first; between processes a file whose last check
   * has passed may still arrive. Calling it again after a crash completes it.
   * @returns the published paths that were left, since something else has changed them.
   */
  async withdraw(taskId: string): Promise<string[]> {
    const home = this.home(taskId);
    const tree = await fence(home);
    const left = tree === null ? [] : await this.takeBack(taskId, home, tree);
    await this.drop(taskId);
    return left;
  }

  /** Removes the task's tree and base, of every epoch; what was published stays. The task must have ended for good. */
  drop(taskId: string): Promise<void> {
    const home = this.home(taskId);
    return this.turns.take(home, () => this.removals.take(home));
  }

  /**
   * Removes what `drop` and `withdraw` could not finish: the trees of tasks that have ended, and what is older than an hour
   * and belongs to no task that `findFates` knows of those it is asked about.
   */
  async sweep(
    findFates: (taskIds: string[]) => Promise<ReadonlyMap<string, TaskFate>>,
    now: Date = new Date(),
  ): Promise<void> {
    await this.sweepRemovals(now);
    const taskOf = new Map<string, string>();
    for (const name of await namesIn(this.folder)) {
      if (name.startsWith('.dropped-')) await this.removals.take(join(this.folder, name));
      else taskOf.set(name, /^\.making-(.+)-\d+-[0-9a-f]{8}$/.exec(name)?.[1] ?? name);
    }
    if (taskOf.size === 0) return;
    const fates = await findFates([...new Set(taskOf.values())]);
    for (const [name, taskId] of taskOf) {
      try {
        await this.sweepOne(name, name === taskId, fates.get(taskId), now);
      } catch (error) {
        this.logger.warn(`The left-over work tree ${name} could not be removed yet: ${String(error)}`);
      }
    }
  }

  private async sweepRemovals(now: Date = new Date()): Promise<void> {
    await this.removals.sweep();
    await this.moments.sweep(now.getTime() - SWEEP_AGE_MS);
  }

  private async sweepOne(name: string, isWhole: boolean, fate: TaskFate | undefined, now: Date): Promise<void> {
    if (fate === 'unfinished') return;
    if (fate === undefined) {
      const age = now.getTime() - ((await lstatOrNull(join(this.folder, name)))?.mtimeMs ?? now.getTime());
      if (age <= SWEEP_AGE_MS) return;
    }
    if (fate === 'given_up' && isWhole) await this.withdraw(name);
    else await this.removals.take(join(this.folder, name));
  }

  private async takeBack(taskId: string, home: string, tree: string): Promise<string[]> {
    const published = new Set(await publishedPaths(home));
    if (published.size === 0) return [];
    const workspace = await this.workspace();
    return this.turns.take(workspace, async () => {
      const reversed = (await this.comparisonOf(home, tree)).changes
        .filter(({ path }) => published.has(path))
        .map(({ path, before, after }) => ({ path, before: after, after: before }));
      const withdrawal = new Publication(workspace, new BaseContent(home), taskId, reversed, {
        over: new Map(),
        anyLinks: true,
        mayGoOn: async () => undefined,
      });
      return [...(await withdrawal.conflicts()), ...(await withdrawal.apply())].map(({ path }) => path);
    });
  }

  /** The workspace's real path; it is created when it is missing. */
  private async workspace(): Promise<string> {
    const made = await makeFolder(this.config.workspace);
    // One that the service made for itself is also the commands' to write, whoever the service is.
    if (made !== undefined && process.geteuid?.() === 0) await chown(this.config.workspace, BOX_USER.uid, BOX_USER.gid);
    return realpath(this.config.workspace);
  }

  private async compare(tree: WorkTree): Promise<Comparison> {
    await this.assertCurrent(tree);
    const comparison = await this.comparisonOf(this.home(tree.taskId), tree.root);
    await this.assertCurrent(tree);
    return comparison;
  }

  private comparisonOf(home: string, tree: string): Promise<Comparison> {
    return runTreeJob('compare', { home, tree, limits: doubled(this.limits) });
  }

  private async assertCurrent({ taskId, epoch, root }: WorkTree): Promise<void> {
    if ((await lstatOrNull(root)) === null) throw new WorkTreeFencedError(taskId, epoch);
  }

  private home(taskId: string): string {
    if (!TASK_ID.test(taskId)) throw new Error('Not the id of a task.');
    return join(this.folder, taskId);
  }
}
