import { Injectable, Logger } from '@nestjs/common';
import { DomainError } from '../../../platform/errors/index.js';
import { ToolRegistry, WorkTreeFencedError, WorkTrees, type TreeDiff } from '../../tools/index.js';
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

/** The work tree of a task that holds a writing tool, from its first stage to its end. */
@Injectable()
export class TaskTrees {
  private readonly logger = new Logger('Pipeline');

  constructor(
    private readonly trees: WorkTrees,
    private readonly tools: ToolRegistry,
  ) {}

  /**
   * Opens the task's tree under the lease's epoch: whoever held an earlier epoch can no longer write to it. Answers why the
   * task cannot go on, or null.
   */
  async open(execution: TaskExecution): Promise<{ code: string; message: string } | null> {
    const { run, lease } = execution;
    // Changes that were made stay the task's also when the tools that made them are gone by now.
    const writes =
      run.control.diffHash !== null || run.pod.agents.some((agent) => this.tools.holdsWriting(agent.allowedTools));
    if (!writes || effectiveTier(run) === 'isolated') return null;
    // Changed files, or tool calls of an unfinished task stage, exist nowhere but in the tree.
    const working = run.stages.some((stage) => stage.role === 'task' && run.journals.has(stage.id));
    if ((run.control.diffHash !== null || working) && !(await this.trees.exists(treeName(run.id, run.control)))) {
      return { code: 'work_tree_lost', message: 'The work tree of the task is no longer there.' };
    }
    try {
      execution.tree = await this.trees.open(treeName(run.id, run.control), lease.epoch, lease.signal);
      if (run.control.diffHash !== null) execution.diff = await this.trees.diff(execution.tree, lease.signal);
      return null;
    } catch (error) {
      if (error instanceof DomainError && error.code !== 'dependency_unavailable') {
        return { code: error.code, message: error.detail };
      }
      if (error instanceof WorkTreeFencedError) {
        lease.lose(error.message);
        throw new LeaseLostError(error.message);
      }
      throw error;
    }
  }

  /** Looks at the tree's difference and notes it in the control state; null where there is no tree. */
  async measure(execution: TaskExecution): Promise<TreeDiff | null> {
    if (execution.tree === null) return null;
    const diff = await this.trees.diff(execution.tree, execution.lease.signal);
    execution.measured(diff);
    return diff;
  }

  /** The whole new content of a changed file; null when it cannot be had. */
  async readChanged(execution: TaskExecution, path: string): Promise<Buffer | null> {
    const change = execution.diff?.files.find((file) => file.path === path);
    return execution.tree === null || change === undefined ? null : this.trees.read(execution.tree, change);
  }

  /** Publishes the tree into the workspace; the files that stand in the way, or none. */
  async publish(execution: TaskExecution): Promise<string[]> {
    const { tree, diff, run } = execution;
    if (tree === null || run.control.diffHash === null) return [];
    let leftBytes = MOST_CODE_ARTIFACT_BYTES;
    for (const change of diff?.files ?? []) {
      if (execution.changedFiles.size >= MOST_CODE_ARTIFACTS || leftBytes <= 0) break;
      const content = await this.trees.read(tree, change, Math.min(LARGEST_CODE_ARTIFACT, leftBytes));
      if (content === null || content.includes(0)) continue;
      execution.changedFiles.set(change.path, content.toString('utf8'));
      leftBytes -= content.length;
    }
    const { conflicts } = await this.trees.publish(tree, {
      force: run.control.publishForce,
      contentHash: run.control.diffHash,
      signal: execution.lease.signal,
    });
    return conflicts;
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
