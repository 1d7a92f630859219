import { closeSync, fstatSync, lstatSync, mkdirSync, readSync, type BigIntStats } from 'node:fs';
import { join } from 'node:path';
import type { GitUser } from '../../../config/index.js';
import { makeFolderSync } from '../../../platform/folders/index.js';
import { PackWriter, shareFile, stampOf } from './base-record.js';
import { copyRepositoryState } from './git-history.js';
import { PACK, readMoment, STATE, writeMoment, type Moment, type MomentFile } from './moment.js';
import { isPassedOver, NEAR, OpenFolder } from './open-folder.js';
import { openRepository } from './repository.js';
import { TreeBudget, type TreeLimits } from './tree-budget.js';
import { WorkspaceWalk } from './walk-workspace.js';
import { listWorkingFiles, type WorkingFiles } from './working-files.js';

export interface MomentOrder {
  workspace: string;
  /** The folder to be made for the moment. */
  folder: string;
  /** The folder of an earlier moment: only what changed since then is read. */
  before: string | null;
  limits: TreeLimits;
  /** Whose rules of what is ignored hold beside those of a repository. */
  user: GitUser;
}

export interface TakenMoment {
  /** Files that kept changing: what is recorded of them is of different moments. */
  moving: string[];
  /** Bytes of the pack that are content of this moment. */
  live: number;
  /** Bytes of the pack. */
  packed: number;
}

/** Passes over a workspace that is being written; each reads what changed since the one before. */
const MOST_PASSES = 4;
/**
 * How far apart two changes of a file may be that give it the same time: file systems keep times in ticks, those that keep no
 * fraction of a second in ticks of up to two.
 */
const TICK_MS = 50;
const LONG_TICK_MS = 3_000;
const CHUNK_BYTES = 1024 * 1024;

/**
 * Records what the workspace holds at one moment: a list, the content in a pack, and the state of the repository if it is one.
 * The pack is that of the moment `before`, with what changed since then at its end: what is in a pack stays as it is. Runs in a
 * worker thread, one after the other on one pack.
 * @throws DomainError `workspace_too_large`, `workspace_unreadable`.
 */
export function takeMoment({ workspace, folder, before, limits, user }: MomentOrder): TakenMoment {
  const open: { close(): void }[] = [];
  const held = <T extends { close(): void }>(one: T): T => {
    open.push(one);
    return one;
  };
  try {
    makeFolderSync(folder, 0o700);
    const from = held(OpenFolder.root(workspace));
    const repository = openRepository(from);
    let working: WorkingFiles | null = null;
    if (repository !== null) {
      held(repository);
      mkdirSync(join(folder, STATE));
      copyRepositoryState(repository, held(OpenFolder.root(join(folder, STATE))), new TreeBudget(limits));
      working = listWorkingFiles(from, repository, join(folder, STATE, '.git'), user);
    }
    const known = before === null ? null : readMoment(before);
    if (before !== null && known !== null) shareFile(join(before, PACK), join(folder, PACK));
    const pack = held(new PackWriter(join(folder, PACK)));
    const walk = new WorkspaceWalk(folder, limits, user, working);
    const { moment, moving } = new Recording(workspace, pack, walk, limits).until(
      from,
      known ?? { folders: [], files: new Map() },
    );
    pack.flush();
    writeMoment(folder, moment);
    const live = [...moment.files.values()].reduce((sum, { size }) => sum + size, 0);
    return { moving, live, packed: pack.position };
  } finally {
    for (const one of open.reverse()) one.close();
  }
}

class Recording {
  private readonly chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  /** Paths whose times could hide a change that came after they were read. */
  private readonly fresh = new Set<string>();
  /** When the pass began, and whether something that it met was changed since then. */
  private began = 0;
  private isRestless = false;

  constructor(
    private readonly workspace: string,
    private readonly pack: PackWriter,
    private readonly walk: WorkspaceWalk,
    private readonly limits: TreeLimits,
  ) {}

  /**
   * Walks until all is of one moment: nothing that a pass found changed, and no folder, was changed after it began. (What it found
   * as it was before was so all the time.) Names what changed in the last pass when there is no such moment.
   */
  until(from: OpenFolder, before: Moment): { moment: Moment; moving: string[] } {
    let last = before;
    let changed: string[] = [];
    for (let pass = 1; pass <= MOST_PASSES; pass++) {
      ({ moment: last, changed } = this.pass(from, last));
      if (this.isRestless && changed.length > 0) continue;
      changed = [];
      break;
    }
    for (const path of this.fresh) {
      const file = last.files.get(path);
      if (file !== undefined) file.source = '';
    }
    return { moment: last, moving: changed.sort() };
  }

  private pass(from: OpenFolder, last: Moment): { moment: Moment; changed: string[] } {
    const moment: Moment = { folders: [], files: new Map() };
    const changed: string[] = [];
    const budget = new TreeBudget(this.limits);
    this.began = Date.now();
    this.isRestless = false;
    this.walk.run(from, {
      folder: (path) => moment.folders.push(path),
      leave: ({ descriptor }) => this.noteTime(fstatSync(descriptor, { bigint: true })),
      file: (folder, path, name, kind) => {
        const known = last.files.get(path);
        if (known !== undefined && this.isAsBefore(known, folder, path, name)) {
          budget.charge(known.size);
          moment.files.set(path, known);
          return;
        }
        const read = kind === 'file' ? this.file(folder, path, name, budget) : this.link(folder, path, name, budget);
        if (read === null) return;
        moment.files.set(path, read);
        changed.push(path);
      },
    });
    for (const path of last.files.keys()) if (!moment.files.has(path)) changed.push(path);
    return { moment, changed };
  }

  /**
   * Whether the file still is the very one that was read. By its path, which is quicker than by the folder: whatever a
   * link on the way leads to, nothing but that one file looks like it.
   */
  private isAsBefore({ source }: MomentFile, folder: OpenFolder, path: string, name: string): boolean {
    if (source === '') return false;
    const place = `${this.workspace}/${path}`;
    const now = place.length < NEAR ? lstatOf(place) : folder.stat(name);
    return now !== null && stampOf(now) === source;
  }

  /** Reads the regular file `name`; null when it is none, is gone, or may not be read. */
  private file(folder: OpenFolder, path: string, name: string, budget: TreeBudget): MomentFile | null {
    const descriptor = folder.file(name);
    if (descriptor === null) return null;
    try {
      const stat = fstatSync(descriptor, { bigint: true });
      if (!stat.isFile()) return null;
      const expected = Number(stat.size);
      budget.charge(expected);
      this.note(path, stat);
      const at = this.pack.position;
      let size = 0;
      for (;;) {
        const bytes = readSync(descriptor, this.chunk, 0, this.chunk.length, null);
        size += bytes;
        if (size > expected) budget.grow(Math.min(bytes, size - expected));
        if (bytes > 0) this.pack.add(this.chunk.subarray(0, bytes));
        // A short read of a regular file is its end; asking once more costs as much as a small file does.
        if (bytes < this.chunk.length) break;
      }
      this.noteTime(fstatSync(descriptor, { bigint: true }));
      const type = (Number(stat.mode) & 0o100) === 0 ? 'file' : 'executable';
      return { type, size, at, modified: Number(stat.mtimeNs) / 1e9, source: stampOf(stat) };
    } finally {
      closeSync(descriptor);
    }
  }

  /** Reads the link `name` itself; null when it is none. */
  private link(folder: OpenFolder, path: string, name: string, budget: TreeBudget): MomentFile | null {
    const stat = folder.stat(name);
    const target = folder.linkTarget(name);
    if (stat === null || target === null) return null;
    const content = Buffer.from(target);
    budget.charge(content.length);
    this.note(path, stat);
    this.noteTime(stat);
    const at = this.pack.position;
    this.pack.add(content);
    return { type: 'link', size: content.length, at, modified: Number(stat.mtimeNs) / 1e9, source: stampOf(stat) };
  }

  private note(path: string, { ctimeNs }: BigIntStats): void {
    if (Number(ctimeNs / 1_000_000n) > Date.now() - tickOf(ctimeNs)) this.fresh.add(path);
    else this.fresh.delete(path);
  }

  private noteTime({ ctimeNs }: BigIntStats): void {
    if (Number(ctimeNs / 1_000_000n) > this.began - tickOf(ctimeNs)) this.isRestless = true;
  }
}

function tickOf(time: bigint): number {
  return time % 1_000_000_000n === 0n ? LONG_TICK_MS : TICK_MS;
}

function lstatOf(path: string): BigIntStats | null {
  try {
    return lstatSync(path, { bigint: true });
  } catch (error) {
    if (isPassedOver(error)) return null;
    throw error;
  }
}
