import type { z } from 'zod';
import type { SandboxTier } from '../../config/index.js';
import type { ModelCall, ModelUsage } from '../llm/index.js';

/** A pipeline task, or one turn of an agent: what calls tools, and is charged with what they start. */
export interface Work {
  readonly kind: 'task' | 'turn';
  readonly id: string;
}

/** Where and with what rights a tool call runs. */
export interface ToolContext {
  /** The folder the call may touch: a work tree, or the workspace. Absolute. */
  root: string;
  /** The work tree of work that may write; absent where all calls work on `root`. Until it is made, reading calls do too. */
  tree?: WorkingTree;
  /** Which files below `root` exist for the call; absent is all. Set by the registry. */
  shows?: (path: string) => boolean;
  tier: SandboxTier;
  /** Whether sandboxed commands may reach the network. */
  network: boolean;
  /** Who the work belongs to, as stored in `owner` columns. */
  owner: string;
  /** Aborts the tool and everything it started. */
  signal: AbortSignal;
  /** The work that the call is part of. */
  work: Work;
  /** Tools that start work: how deep the present work already is (0 = asked for by a person). */
  depth?: number;
  /** The tasks and turns whose tools led to the present work, outermost first; absent is none. */
  ancestors?: readonly string[];
  /** What the caller itself may use, set by the registry; what the call starts gets no more. */
  allowed?: AllowedTools;
  /** Asked before and told after every model call of what the tool starts, so that the caller's limits hold for it too. */
  spending?: Spending;
}

/** The limits of who pays for model calls. */
export interface Spending {
  /** Tokens that one answer may have. */
  readonly maxOutputTokens: number | undefined;
  /** Before each model that `call` asks. Refuses it by rejecting. */
  beforeCall(model: string, call: ModelCall): Promise<void>;
  afterCall(
    spend: { model: string; usage: ModelUsage; costUsd: number | null; failed: boolean },
    call: ModelCall,
  ): Promise<void>;
  /** `call` has settled and will ask no further model. */
  endCall(call: ModelCall): void;
  /** Takes off the limit, for good, what new work may cost on its own account, in USD; null when there is no limit. */
  grantUsd(): Promise<number | null>;
}

export interface ToolResult {
  /** What the model reads; the registry caps and wraps it. */
  text: string;
  isError?: boolean;
  /** Set by the registry: the work had its tree when the call ended, and the call's effects may be there. */
  inTree?: true;
}

/** Where one call works: `root` and `shows` as in `ToolContext`. */
export type CallPlace = Pick<ToolContext, 'root' | 'shows'>;

/** The work tree of a task or a turn, which the first call that needs one makes. */
export interface WorkingTree {
  /** Null until it is made. */
  readonly root: string | null;
  /** Makes it, or finds it; its root. Calls at the same time make one. */
  open(): Promise<string>;
  /** Which files of the workspace the tree would hold now: what is ignored is not read before it is made either. Null is all. */
  shows(): Promise<((path: string) => boolean) | null>;
  /**
   * Runs a call of `tool` where it is to work, in the place of `open` and `shows`: for work that nobody judges, so that each call
   * is looked at when it ends. A tree that cannot be made is an answer to the model.
   * @throws what `run` throws.
   */
  attend?(tool: Tool, run: (place: CallPlace) => Promise<ToolResult>): Promise<ToolResult>;
}

/** The tree could not be made, so the call was not: `cause` says why, and ends the work that asked for it. */
export class TreeUnavailableError extends Error {
  override readonly name = 'TreeUnavailableError';
  constructor(override readonly cause: unknown) {
    super('The work tree could not be made.', { cause });
  }
}

/**
 * A tool. `idempotent` says that repeating a call whose outcome is unknown does no harm (a resume repeats such calls; others
 * open a gate). `writes` says that it can change files; pods may not run writing tools in a parallel group.
 */
export interface Tool<Arguments extends z.ZodType = z.ZodType> {
  readonly name: string;
  /** `files`, `shell`, `git`, `platform`, or `mcp:<server>`. */
  readonly group: string;
  readonly description: string;
  /** Checks the arguments before `run` gets them. */
  readonly schema: Arguments;
  /** Whether `schema` checks in another thread, so that its answer has to be waited for. */
  readonly checkedApart?: boolean;
  /** JSON Schema to show models where it is not simply that of `schema`, as for tools that other systems define. */
  readonly inputSchema?: Record<string, unknown>;
  readonly idempotent: boolean;
  readonly writes: boolean;
  /** Whether the call works in the work's own tree: it may change files there, or runs a program that may. */
  readonly needsTree?: boolean;
  /** Whether the call keeps files for good, so that the tree of a turn is published before it and it works in the workspace. */
  readonly publishes?: boolean;
  /** Milliseconds one call may take. */
  readonly timeoutMs: number;
  /** Tiers in which the tool works at all; in others it refuses. */
  readonly tiers: readonly SandboxTier[];
  /**
   * Does the work. `context.signal` aborts on cancel and on the timeout; the promise settles soon after, when nothing of the
   * call is left running. A rejection becomes an error result without its message.
   */
  run(args: z.output<Arguments>, context: ToolContext): Promise<ToolResult>;
}

/** An allow-list as agents and pods hold it: names or groups; null is everything, [] nothing. */
export type AllowedTools = readonly string[] | null;

/**
 * Tools that come and go while the service runs, as those of an MCP server. A tool whose group is another, or whose name
 * does not begin with `mcp__`, is passed over: no server can slip in under an allow-list entry that means something else.
 */
export interface ToolSource {
  /** The group of every tool of this source, for example `mcp:github`. */
  readonly group: string;
  /** The tools there are now. Called for every listing and every call, so it only reads memory. */
  tools(): readonly Tool[];
}
