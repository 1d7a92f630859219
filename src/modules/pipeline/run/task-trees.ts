import { Injectable, Logger } from '@nestjs/common';
import { isAway } from '../../../platform/database/index.js';
import { DomainError } from '../../../platform/errors/index.js';
import { roleKind } from '../../pods/index.js';
import {
  KeptListing,
  ToolRegistry,
  WorkTreeFencedError,
  WorkTrees,
  type Published,
  type WorkingTree,
  type TreeDiff,
  type WorkTree,
} from '../../tools/index.js';
import { changeList, type ChangeList } from '../store/change-list.js';
import { LeaseLostError } from '../store/lease.js';
import { effectiveTier } from '../rules/task-sandbox.js';
import type { TaskExecution } from './task-execution.js';
import { treeName, type TaskControl } from '../rules/task-control.js';
import type { TaskStatus } from '../rules/task-status.js';

/** Bytes of a changed file that is kept as an artifact; larger ones are in the workspace only. */
const LARGEST_CODE_ARTIFACT = 1024 * 1024;
/** What one task may keep in all: its end is one statement, and a task may have changed a hundred thousand files. */
const MOST_CODE_ARTIFACTS = 1_000;
const MOST_CODE_ARTIFACT_BYTES = 16 * 1024 * 1024;

/** The work tree of a task that holds a writing tool, from the first call that needs it to the task's end. */
@Injectable()
export class TaskTrees {
  private readonly logger = new Logger('Pipeline');

  constructor(
    private readonly trees: WorkTrees,
    private readonly tools: ToolRegistry,
  ) {}

  /**
   * Opens the task's tree, if it has made one, under the lease's epoch: whoever held an earlier epoch can no longer write to it.
   * Answers why the task cannot go on, or null.
   */
  async open(execution: TaskExecution): Promise<{ code: string; message: string } | null> {
    const { task, lease } = execution;
    // Changes that were made stay the task's also when the tools that made them are gone by now.
    const writes =
      task.control.diffHash !== null || task.pod.agents.some((agent) => this.tools.holdsWriting(agent.allowedTools));
    if (!writes || effectiveTier(task) === 'isolated') return null;
    const name = treeName(task.id, task.control);
    if (!(await this.trees.exists(name))) {
      if (task.control.diffHash !== null || hasWorkedInTree(execution)) {
        return { code: 'work_tree_lost', message: 'The work tree of the task is no longer there.' };
      }
      execution.mayMakeTree = true;
      return null;
    }
    try {
      execution.tree = await this.trees.open(name, lease.epoch, lease.signal);
      execution.mayMakeTree = true;
      if (task.control.diffHash !== null || task.control.traps !== undefined)
        execution.diff = await this.trees.diff(execution.tree, lease.signal);
      return null;
    } catch (error) {
      if (error instanceof DomainError && !isAway(error)) {
        return { code: error.code, message: error.detail };
      }
      if (error instanceof WorkTreeFencedError) {
        lease.lose(error.message);
        throw new LeaseLostError(error.message);
      }
      throw error;
    }
  }

  /** What tool calls of a stage are told of the task's tree; nothing where the task writes none. */
  forCalls(execution: TaskExecution, signal: AbortSignal): { tree?: WorkingTree } {
    if (!execution.mayMakeTree) return {};
    const listing = new KeptListing(this.trees, signal);
    return {
      tree: {
        get root() {
          return execution.tree?.root ?? null;
        },
        open: async () => (await this.make(execution)).root,
        shows: () => listing.shows(),
      },
    };
  }

  /** The paths that the task has changed; null where it cannot have a tree. */
  async changedPaths(execution: TaskExecution): Promise<string[] | null> {
    const diff = await this.measure(execution);
    if (diff === null) return execution.mayMakeTree ? [] : null;
    return diff.files.map(({ path }) => path);
  }

  /** Looks at the tree's difference and notes it in the control state; null where there is no tree. */
  async measure(execution: TaskExecution): Promise<TreeDiff | null> {
    if (execution.tree === null) return null;
    const diff = await this.trees.diff(execution.tree, execution.lease.signal);
    execution.measured(diff);
    return diff;
  }

  /** The task's tree, made now if it has none yet; calls at the same time get the same. */
  private make(execution: TaskExecution): Promise<WorkTree> {
    const { task, lease } = execution;
    if (execution.tree !== null) return Promise.resolve(execution.tree);
    execution.making ??= this.trees
      .openFresh(treeName(task.id, task.control), lease.epoch, lease.signal)
      .then((tree) => (execution.tree = tree))
      .finally(() => (execution.making = null));
    return execution.making;
  }

  /** The whole new content of a changed file; null when it cannot be had. */
  async readChanged(execution: TaskExecution, path: string): Promise<Buffer | null> {
    const change = execution.diff?.files.find((file) => file.path === path);
    return execution.tree === null || change === undefined ? null : this.trees.read(execution.tree, change);
  }

  /** The list of what the task has changed, to be kept when its tree goes; null where there is none, or it cannot be had. */
  async listChanges({ task, tree, lease }: TaskExecution): Promise<ChangeList | null> {
    if (tree === null || task.control.diffHash === null) return null;
    try {
      const look = await this.trees.look(tree.taskId);
      return look && (await changeList(look, lease.signal));
    } catch (error) {
      lease.signal.throwIfAborted();
      this.logger.warn(`The changes of task ${task.id} cannot be listed: ${String(error)}`);
      return null;
    }
  }

  /** Publishes the tree into the workspace; says what stands in the way. */
  async publish(execution: TaskExecution): Promise<Published> {
    const { tree, diff, task } = execution;
    if (tree === null || task.control.diffHash === null) return { conflicts: [] };
    let leftBytes = MOST_CODE_ARTIFACT_BYTES;
    for (const change of diff?.files ?? []) {
      if (execution.changedFiles.size >= MOST_CODE_ARTIFACTS || leftBytes <= 0) break;
      const content = await this.trees.read(tree, change, Math.min(LARGEST_CODE_ARTIFACT, leftBytes));
      if (content === null || content.includes(0)) continue;
      execution.changedFiles.set(change.path, content.toString('utf8'));
      leftBytes -= content.length;
    }
    return this.trees.publish(tree, {
      over: task.control.publishOver ?? [],
      contentHash: task.control.diffHash,
      ...(task.control.releasedTraps !== undefined && { releasedTraps: task.control.releasedTraps }),
      signal: execution.lease.signal,
    });
  }

  /**
   * Removes what a task that has ended leaves behind. Of one that did not complete, what it had published is taken out of the
   * workspace first. Leftovers of a failure here are swept later.
   */
  async drop({ id, control }: { id: string; control: TaskControl }, status: TaskStatus): Promise<void> {
    const tree = treeName(id, control);
    try {
      if (status === 'complete') return await this.trees.drop(tree);
      const left = await this.trees.withdraw(tree);
      if (left.length > 0) {
        this.logger.warn(`Task ${id} is ${status}, and the workspace keeps of it: ${left.slice(0, 20).join(', ')}.`);
      }
    } catch (error) {
      this.logger.warn(`The work tree of task ${id} could not be removed: ${String(error)}`);
    }
  }
}

/** Whether a call of an unfinished task stage, whose result is recorded, has left its effects in a tree. */
function hasWorkedInTree({ task }: TaskExecution): boolean {
  return task.stages.some(
    ({ id, role }) =>
      roleKind(role) === 'works' &&
      (task.journals.get(id) ?? []).some((entry) => entry.kind === 'result' && entry.inTree),
  );
}
