import { Injectable } from '@nestjs/common';
import { v5 as uuidFrom } from 'uuid';
import { DomainError } from '../../../platform/errors/index.js';
import type { Principal } from '../../auth/index.js';
import { JUDGES, type JudgeRole } from '../../pods/index.js';
import {
  isReadable,
  WorkTrees,
  type Difference,
  type OpenContent,
  type Side,
  type ShownEncoding,
  type TreeChange,
  type TreeLook,
} from '../../tools/index.js';
import { iterationOf, newestStages } from '../rules/situation.js';
import { mayReview } from '../rules/review-rights.js';
import { treeName } from '../rules/task-control.js';
import { isTerminal } from '../rules/task-status.js';
import { LoadedTasksRepository, type LoadedTask } from '../store/loaded-tasks.repository.js';
import { PipelineViews } from './pipeline-views.service.js';

/** One version of a changed file. */
export interface FileVersionView {
  kind: 'file' | 'link';
  /** As git writes it. */
  mode: '100644' | '100755' | '120000';
  /** Bytes. */
  size: number;
  sha256: string;
  /** Of a text; null for what is none, and for what is too large to be looked at. */
  encoding: ShownEncoding | null;
  /** Null for what is too large to be looked at. */
  binary: boolean | null;
}

/** A file that a task has changed. */
export interface ChangeView {
  id: string;
  taskId: string;
  path: string;
  change: TreeChange['change'];
  before: FileVersionView | null;
  after: FileVersionView | null;
  /** Whether the prompts of each judge of the present work held all of the change; null while it has not judged. */
  shownWhole: Record<JudgeRole, boolean | null>;
  /** Whether a judge counts it as unseen work. */
  unseen: boolean;
}

export interface ChangesPage {
  items: ChangeView[];
  /** The id of the last change of this page, where more follow. */
  next: string | null;
}

/** One version, open; whoever gets it closes it. */
export interface OpenChange {
  content: OpenContent;
  path: string;
  sha256: string;
}

const MODES = { file: '100644', executable: '100755', link: '120000' } as const;
/** Bytes that one page reads to tell encodings; then it ends early. */
const PAGE_BYTES = 16 * 1024 * 1024;
/** Looks at trees of waiting tasks that are kept: what waits is not written any more. */
const KEPT_LOOKS = 4;

/**
 * The files that a task has changed, before and after, for those who may review it. They are read from the task's tree, so
 * they are there until the task ends, on the machine that has the tree.
 */
@Injectable()
export class TaskChanges {
  private readonly looks = new Map<string, Promise<TreeLook | null>>();

  constructor(
    private readonly views: PipelineViews,
    private readonly tasks: LoadedTasksRepository,
    private readonly trees: WorkTrees,
  ) {}

  /**
   * The changes in the order of their paths.
   * @throws DomainError not_found, forbidden, gone, tree_unavailable, content_changed, what looking at a tree throws.
   */
  async list(
    principal: Principal,
    taskId: string,
    page: { limit: number; offset: number; after: string | null },
  ): Promise<ChangesPage> {
    const { task, look } = await this.look(principal, taskId);
    const changes = look?.changes ?? [];
    let index = page.offset;
    if (page.after !== null) {
      index = changes.findIndex(({ path }) => changeId(taskId, path) === page.after) + 1;
      if (index === 0)
        throw DomainError.invalid('#/query/cursor', 'The change that the cursor names is not there any more.');
    }
    const items: ChangeView[] = [];
    let left = PAGE_BYTES;
    for (; index < changes.length && items.length < page.limit && left > 0; index++) {
      const change = changes[index];
      if (change === undefined || look === null) break;
      items.push(await this.view(task, look, change));
      for (const record of [change.before, change.after]) {
        if (record !== null && isReadable(record)) left -= record.size;
      }
    }
    return { items, next: index < changes.length ? (items.at(-1)?.id ?? null) : null };
  }

  /**
   * Opens one version of a changed file. `contentHash` binds it: it is the hash of the open gate, or of the version itself.
   * @throws DomainError not_found, forbidden, gone, tree_unavailable, content_changed, what looking at a tree throws.
   */
  async open(
    principal: Principal,
    taskId: string,
    { changeId: id, side, contentHash }: { changeId: string; side: Side; contentHash: string | undefined },
  ): Promise<OpenChange> {
    const { task, look } = await this.look(principal, taskId);
    const change = look?.changes.find(({ path }) => changeId(taskId, path) === id);
    if (look === null || change === undefined) throw DomainError.notFound('change', id);
    const record = change[side];
    if (record === null) {
      throw new DomainError(
        'not_found',
        `The task ${side === 'before' ? 'adds' : 'deletes'} this file: it has no version ${side}.`,
      );
    }
    const isGateHash = contentHash === task.gate?.contentHash && look.contentHash === task.control.diffHash;
    if (contentHash !== undefined && contentHash !== record.sha256 && !isGateHash) {
      throw new DomainError(
        'content_changed',
        'The content is not the one that the hash names; look at the task again.',
      );
    }
    return { content: await look.open(change, side), path: change.path, sha256: record.sha256 };
  }

  /** The task and its changes; null for a task that has changed nothing. */
  private async look(principal: Principal, taskId: string): Promise<{ task: LoadedTask; look: TreeLook | null }> {
    const access = await this.views.access(principal, taskId);
    if (!mayReview(principal, access)) {
      throw new DomainError('forbidden', 'Changes of this task are shown to those who may review it.');
    }
    const task = await this.tasks.find(taskId);
    if (task === null) throw DomainError.notFound('task', taskId);
    if (isTerminal(task.status)) {
      if (task.control.diffHash === null) return { task, look: null };
      throw new DomainError('gone', 'The task has ended, and its files with it; its artifacts keep the difference.');
    }
    const look = await this.lookOf(task);
    if (look === null && task.control.diffHash !== null) {
      throw new DomainError(
        'tree_unavailable',
        'The work tree of the task is not on this machine, or is changing hands; another replica may have it.',
      );
    }
    return { task, look };
  }

  private async lookOf(task: LoadedTask): Promise<TreeLook | null> {
    const tree = treeName(task.id, task.control);
    if (task.status !== 'pending_human_review') return this.trees.look(tree);
    const key = `${tree} ${task.epoch} ${task.version}`;
    const kept = await this.looks.get(key);
    if (kept && (await kept.isThere())) return kept;
    const look = this.trees.look(tree);
    this.looks.set(key, look);
    const forget = (): boolean => this.looks.delete(key);
    void look.then((found) => found === null && forget(), forget);
    for (const oldest of this.looks.keys()) {
      if (this.looks.size <= KEPT_LOOKS) break;
      this.looks.delete(oldest);
    }
    return look;
  }

  private async view(task: LoadedTask, look: TreeLook, change: Difference): Promise<ChangeView> {
    const [before, after] = await Promise.all([
      versionView(look, change, 'before'),
      versionView(look, change, 'after'),
    ]);
    const isShowable =
      change.before?.sha256 === change.after?.sha256 ||
      [before, after].every((one) => one?.binary !== true && one?.binary !== null);
    const judged = JUDGES.map((judge) => [judge, judgement(task, judge, change.path)] as const);
    const shown = judged.map(([judge, of]) => [judge, of && isShowable && of === 'shown'] as const);
    return {
      id: changeId(task.id, change.path),
      taskId: task.id,
      path: change.path,
      change: change.after === null ? 'deleted' : change.before === null ? 'added' : 'modified',
      before,
      after,
      shownWhole: Object.fromEntries(shown) as ChangeView['shownWhole'],
      unseen: judged.some(([, of]) => of === 'unseen'),
    };
  }
}

/** `unknown`: the judge's list was cut before it came to the file. */
type Judgement = 'shown' | 'unseen' | 'unknown';

/** How a judge's verdict on the present work covers a file; null while there is no such verdict. */
function judgement(task: LoadedTask, role: JudgeRole, path: string): Judgement | null {
  const record = newestStages(task.stages)[role];
  if (record?.status !== 'complete' || record.iteration !== iterationOf(task.pod, task.control, role)) return null;
  const { unseen } = record.output as { unseen?: { files: { path: string }[]; more: number } };
  if (unseen?.files.some((file) => file.path === path)) return 'unseen';
  return (unseen?.more ?? 0) > 0 ? 'unknown' : 'shown';
}

/** The same for the same path of the same task, on every replica. */
function changeId(taskId: string, path: string): string {
  return uuidFrom(path, taskId);
}

async function versionView(look: TreeLook, change: Difference, side: Side): Promise<FileVersionView | null> {
  const record = change[side];
  if (record === null) return null;
  const encoding = await look.encoding(change, side);
  return {
    kind: record.type === 'link' ? 'link' : 'file',
    mode: MODES[record.type],
    size: record.size,
    sha256: record.sha256,
    encoding: encoding ?? null,
    binary: encoding === undefined ? null : encoding === null,
  };
}
