import { z } from 'zod';
import type { Tool, ToolContext, ToolResult } from '../../tools/index.js';
import { argumentCheck } from './argument-check.js';
import type { ToolDefinition } from './tool-definition.js';

/** Milliseconds one call may take. */
export const CALL_TIMEOUT_MS = 60_000;

/** Calls a tool of the server, or says why that is not possible. Rejects with the signal's reason only. */
export type CallServer = (
  tool: ToolDefinition,
  args: Record<string, unknown>,
  signal: AbortSignal,
) => Promise<ToolResult>;

/**
 * A tool of an MCP server. What the server says of its effects is not believed: it counts as one that changes files and
 * that may not be repeated.
 */
export class McpTool implements Tool {
  readonly name: string;
  readonly group: string;
  readonly description: string;
  readonly schema: z.ZodType;
  readonly inputSchema: Record<string, unknown>;
  readonly checkedApart = true;
  readonly idempotent = false;
  readonly writes = true;
  readonly timeoutMs = CALL_TIMEOUT_MS;
  /** Not in `isolated`: what a server does happens outside of every box. */
  readonly tiers = ['workspace', 'nova', 'host'] as const;

  constructor(
    server: string,
    readonly definition: ToolDefinition,
    private readonly call: CallServer,
  ) {
    this.name = `mcp__${server}__${definition.name}`;
    this.group = `mcp:${server}`;
    this.description = definition.description;
    this.inputSchema = definition.shown.schema;
    const check = argumentCheck(this.inputSchema);
    this.schema = z.unknown().superRefine(async (args, context) => {
      const fault = await check(args);
      if (fault !== null) context.addIssue({ code: 'custom', message: fault });
    });
  }

  run(args: unknown, context: ToolContext): Promise<ToolResult> {
    return this.call(this.definition, this.definition.shown.restore(args as Record<string, unknown>), context.signal);
  }
}
