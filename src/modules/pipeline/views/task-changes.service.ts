import { Injectable } from '@nestjs/common';
import { v5 as uuidFrom } from 'uuid';
import { DomainError } from '../../../platform/errors/index.js';
import type { Principal } from '../../auth/index.js';
import { JUDGES, type JudgeRole } from '../../pods/index.js';
import { WorkTrees, type OpenContent, type Side, type TreeChange, type TreeLook } from '../../tools/index.js';
import { iterationOf, newestStages } from '../rules/situation.js';
import { mayReview } from '../rules/review-rights.js';
import { treeName } from '../rules/task-control.js';
import { isTerminal } from '../rules/task-status.js';
import { LoadedTasksRepository, type LoadedTask } from '../store/loaded-tasks.repository.js';
import { bytesRead, listedChange, type FileVersion, type ListedChange } from '../store/change-list.js';
import { PipelineViews } from './pipeline-views.service.js';
import { TaskPartsRepository } from './task-parts.repository.js';

/** A file that a task has changed. */
export interface ChangeView {
  id: string;
  taskId: string;
  path: string;
  change: TreeChange['change'];
  before: FileVersion | null;
  after: FileVersion | null;
  /** Whether the prompts of each judge of the present work held all of the change; null while it has not judged. */
  shownWhole: Record<JudgeRole, boolean | null>;
  /** Whether a judge counts it as unseen work. */
  unseen: boolean;
}

export interface ChangesRequest {
  limit: number;
  offset: number;
  /** The id of the change that the page follows; null is the first page. */
  after: string | null;
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

/** Bytes that one page reads to tell encodings; then it ends early. */
const PAGE_BYTES = 16 * 1024 * 1024;
/** Looks at trees of waiting tasks that are kept: what waits is not written any more. */
const KEPT_LOOKS = 4;

/**
 * The files that a task has changed, before and after, for those who may review it. They are read from the task's tree, so
 * they are there until the task ends, on the machine that has the tree. Afterwards the list is there that was kept at the last
 * gate, or when the task completed.
 */
@Injectable()
export class TaskChanges {
  private readonly looks = new Map<string, Promise<TreeLook | null>>();

  constructor(
    private readonly views: PipelineViews,
    private readonly tasks: LoadedTasksRepository,
    private readonly trees: WorkTrees,
    private readonly parts: TaskPartsRepository,
  ) {}

  /**
   * The changes in the order of their paths.
   * @throws DomainError not_found, forbidden, gone, tree_unavailable, content_changed, what looking at a tree throws.
   */
  async list(principal: Principal, taskId: string, page: ChangesRequest): Promise<ChangesPage> {
    const task = await this.reviewable(principal, taskId);
    return isTerminal(task.status) ? this.kept(task, page) : this.present(task, page);
  }

  private async present(task: LoadedTask, page: ChangesRequest): Promise<ChangesPage> {
    const look = await this.look(task);
    const changes = look?.changes ?? [];
    const items: ChangeView[] = [];
    let left = PAGE_BYTES;
    let index = firstOf(task, changes, page);
    for (; index < changes.length && items.length < page.limit && left > 0; index++) {
      const change = changes[index];
      if (change === undefined || look === null) break;
      items.push(view(task, await listedChange(look, change)));
      left -= bytesRead(change);
    }
    return pageOf(items, index < changes.length);
  }

  /** The changes of a task that has ended, as they were when a person was last asked about it, or when it completed. */
  private async kept(task: LoadedTask, page: ChangesRequest): Promise<ChangesPage> {
    if (task.control.diffHash === null) return pageOf([], false);
    const list = await this.parts.changeList(task.id);
    if (list === null) throw gone();
    const { changes, total } = list;
    const first = firstOf(task, changes, page);
    if (first >= changes.length && first < total) {
      throw new DomainError('gone', `The task changed ${total} files; the first ${changes.length} are still listed.`);
    }
    const end = first + page.limit;
    return pageOf(
      changes.slice(first, end).map((change) => view(task, change)),
      end < total,
    );
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
    const task = await this.reviewable(principal, taskId);
    if (isTerminal(task.status) && task.control.diffHash !== null) throw gone();
    const look = await this.look(task);
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

  /** The task, for who may review it. */
  private async reviewable(principal: Principal, taskId: string): Promise<LoadedTask> {
    const access = await this.views.access(principal, taskId);
    if (!mayReview(principal, access)) {
      throw new DomainError('forbidden', 'Changes of this task are shown to those who may review it.');
    }
    const task = await this.tasks.find(taskId);
    if (task === null) throw DomainError.notFound('task', taskId);
    return task;
  }

  /** The changes of a task by its tree; null for a task that has changed nothing. */
  private async look(task: LoadedTask): Promise<TreeLook | null> {
    if (isTerminal(task.status)) return null;
    const look = await this.lookOf(task);
    if (look === null && task.control.diffHash !== null) {
      throw new DomainError(
        'tree_unavailable',
        'The work tree of the task is not on this machine, or is changing hands; another replica may have it.',
      );
    }
    return look;
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
}

function gone(): DomainError {
  return new DomainError('gone', 'The task has ended, and its files with it; its artifacts keep the difference.');
}

function pageOf(items: ChangeView[], more: boolean): ChangesPage {
  return { items, next: more ? (items.at(-1)?.id ?? null) : null };
}

/** The index of the first change of a page. */
function firstOf(task: LoadedTask, changes: readonly { path: string }[], { offset, after }: ChangesRequest): number {
  if (after === null) return offset;
  const index = changes.findIndex(({ path }) => changeId(task.id, path) === after);
  if (index === -1) {
    throw DomainError.invalid('#/query/cursor', 'The change that the cursor names is not there any more.');
  }
  return index + 1;
}

function view(task: LoadedTask, { path, before, after }: ListedChange): ChangeView {
  const isShowable =
    before?.sha256 === after?.sha256 || [before, after].every((one) => one?.binary !== true && one?.binary !== null);
  const judged = JUDGES.map((judge) => [judge, judgement(task, judge, path)] as const);
  const shown = judged.map(([judge, of]) => [judge, of && isShowable && of === 'shown'] as const);
  return {
    id: changeId(task.id, path),
    taskId: task.id,
    path,
    change: after === null ? 'deleted' : before === null ? 'added' : 'modified',
    before,
    after,
    shownWhole: Object.fromEntries(shown) as ChangeView['shownWhole'],
    unseen: judged.some(([, of]) => of === 'unseen'),
  };
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
