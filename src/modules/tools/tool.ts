import type { z } from 'zod';
import type { SandboxTier } from '../../config/index.js';

/** Where and with what rights a tool call runs. */
export interface ToolContext {
  /** The folder the call may touch: a task's work tree, or the workspace. Absolute. */
  root: string;
  tier: SandboxTier;
  /** Whether sandboxed commands may reach the network. */
  network: boolean;
  /** Who the work belongs to, as stored in `owner` columns. */
  owner: string;
  /** Aborts the tool and everything it started. */
  signal: AbortSignal;
  /** The pipeline task or agent turn the call belongs to. */
  taskId?: string;
  agentId?: string;
  /** Tools that start work: how deep the present work already is (0 = asked for by a person). */
  depth?: number;
}

export interface ToolResult {
  /** What the model reads; the registry caps and wraps it. */
  text: string;
  isError?: boolean;
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
  readonly schema: Arguments;
  readonly idempotent: boolean;
  readonly writes: boolean;
  /** Milliseconds one call may take. */
  readonly timeoutMs: number;
  /** Tiers in which the tool works at all; in others it refuses. */
  readonly tiers: readonly SandboxTier[];
  run(args: z.output<Arguments>, context: ToolContext): Promise<ToolResult>;
}

/** An allow-list as agents and pods hold it: names or groups; null is everything, [] nothing. */
export type AllowedTools = readonly string[] | null;
