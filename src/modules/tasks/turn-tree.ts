import { Logger } from '@nestjs/common';
import { SharedUse } from '../../platform/concurrency/index.js';
import { DomainError } from '../../platform/errors/index.js';
import {
  KeptListing,
  toldConflicts,
  toldTraps,
  type CallPlace,
  type Tool,
  type ToolResult,
  type WorkingTree,
  type WorkTree,
  type WorkTrees,
} from '../tools/index.js';

/** A turn runs in one process from its beginning to its end. */
const EPOCH = 0;
/** Groups whose tools work in the tree. */
const IN_TREE: readonly string[] = ['files', 'shell', 'git'];

/**
 * The work tree of one turn outside a task, from its first call that may write to its end. Nobody judges a turn: what the owner's
 * git would obey is taken back after each call, and where the workspace has changed meanwhile it keeps its own version.
 */
export class TurnTree implements WorkingTree {
  private readonly logger = new Logger('Turns');
  private readonly listing: KeptListing;
  /** Commits run alone: they take the tree away. */
  private readonly calls = new SharedUse();
  private tree: WorkTree | null = null;
  private making: Promise<WorkTree> | null = null;

  constructor(
    private readonly trees: WorkTrees,
    /** The turn's id, which names its tree. */
    private readonly id: string,
    private readonly workspace: string,
    private readonly signal: AbortSignal,
  ) {
    this.listing = new KeptListing(trees, signal);
  }

  get root(): string | null {
    return this.tree?.root ?? null;
  }

  async open(): Promise<string> {
    if (this.tree !== null) return this.tree.root;
    this.making ??= this.trees
      .open(this.id, EPOCH, this.signal)
      .then((tree) => (this.tree = tree))
      .finally(() => (this.making = null));
    return (await this.making).root;
  }

  shows(): ReturnType<WorkingTree['shows']> {
    return this.listing.shows();
  }

  async attend(tool: Tool, run: (place: CallPlace) => Promise<ToolResult>): Promise<ToolResult> {
    if (!IN_TREE.includes(tool.group)) return run({ root: this.root ?? this.workspace });
    if (tool.publishes) {
      return this.calls.alone(async () => (await this.settle()) ?? run({ root: this.workspace }));
    }
    return this.calls.together(async () => {
      let place: CallPlace;
      try {
        place = await this.placeOf(tool);
      } catch (error) {
        return this.refused(error);
      }
      const result = await run(place);
      return tool.needsTree ? this.looked(result) : result;
    });
  }

  /**
   * Publishes what the turn has changed; in words, what is not in the workspace as the turn left it, null for nothing.
   * @throws what WorkTrees.publish throws.
   */
  async publish(): Promise<string | null> {
    return this.calls.alone(async () => {
      const undone = await this.undo();
      if (this.tree === null) return undone;
      const { conflicts, traps } = await this.trees.publish(this.tree, {
        passOverConflicts: true,
        signal: this.signal,
      });
      const told = undone === null ? [] : [undone];
      if (traps !== undefined) {
        told.push(`Nothing was published: the owner's git would obey ${toldTraps(traps.listed, traps.total)}.`);
      }
      if (conflicts.length > 0) {
        told.push(`Not published, so that the workspace keeps its own version. ${toldConflicts(conflicts)}`);
      }
      return told.length === 0 ? null : told.join(' ');
    });
  }

  /** Removes the tree of a turn that has ended. What was published stays when it `completed`, and is taken back else. */
  async end(completed: boolean): Promise<void> {
    if (this.tree === null && this.making === null) return;
    try {
      // It would be made after its turn has ended.
      await this.making?.catch(() => undefined);
      if (completed) return await this.trees.drop(this.id);
      const left = await this.trees.withdraw(this.id);
      if (left.length > 0) this.logger.warn(`The workspace keeps of turn ${this.id}: ${left.slice(0, 20).join(', ')}.`);
    } catch (error) {
      this.logger.warn(`The work tree of turn ${this.id} could not be removed: ${String(error)}`);
    }
  }

  private async placeOf(tool: Tool): Promise<CallPlace> {
    if (tool.needsTree) return { root: await this.open() };
    if (this.tree !== null) return { root: this.tree.root };
    const shows = tool.group === 'files' ? await this.shows() : null;
    return { root: this.workspace, ...(shows !== null && { shows }) };
  }

  /**
   * Brings the tree into the workspace for good, and gives it up: the next call that needs one makes it anew. Answers why that
   * cannot be.
   */
  private async settle(): Promise<ToolResult | null> {
    try {
      const undone = await this.undo();
      if (undone !== null) return { text: `Nothing was committed. ${undone}`, isError: true };
      if (this.tree === null) return null;
      const { conflicts, traps } = await this.trees.publish(this.tree, { signal: this.signal });
      const told = traps === undefined ? toldConflicts(conflicts) : toldTraps(traps.listed, traps.total);
      if (told !== '') return { text: `Nothing was committed. ${told}`, isError: true };
      await this.trees.drop(this.id);
      this.tree = null;
      return null;
    } catch (error) {
      return this.refused(error);
    }
  }

  /** `result` of a call that has worked in the tree, with what was taken back of what it did. */
  private async looked(result: ToolResult): Promise<ToolResult> {
    const undone = await this.undo();
    return undone === null ? result : { text: `${result.text}\n${undone}`, isError: true };
  }

  /** Takes back what the owner's git would obey, in words; null for nothing. A tree of which that cannot be told goes whole. */
  private async undo(): Promise<string | null> {
    if (this.tree === null) return null;
    try {
      const { undone, total, isOpen } = await this.trees.undoTraps(this.tree, this.signal);
      if (total === 0) return null;
      const told = `the workspace owner's git would obey it: ${toldTraps(undone, total)}.`;
      return isOpen ? await this.giveUp(told) : `[Undone, since ${told}]`;
    } catch (error) {
      this.signal.throwIfAborted();
      if (error instanceof DomainError) return this.giveUp(error.detail);
      throw error;
    }
  }

  private async giveUp(reason: string): Promise<string> {
    await this.trees.drop(this.id);
    this.tree = null;
    return `[Undone with all that this turn has changed, since ${reason}]`;
  }

  /** The answer to a call that could not be made, since there is no tree for it. */
  private refused(error: unknown): ToolResult {
    this.signal.throwIfAborted();
    if (error instanceof DomainError) return { text: `${error.code}: ${error.detail}`, isError: true };
    this.logger.warn({ message: 'The work tree of a turn could not be used', error });
    return { text: 'The work tree could not be made, so the call was not.', isError: true };
  }
}
