import { z } from 'zod';
import { PathRefusedError } from '../boundary/path-refused.js';
import { parsePath } from '../boundary/relative-path.js';
import { Sandbox, SandboxRefusedError, type BoxResult } from '../sandbox/sandbox.js';
import { BOUNDS_ENDS } from '../sandbox/bounds/bounds-ends.js';
import { AgentTool } from '../agent-tool.js';
import type { Tool, ToolContext, ToolResult } from '../tool.js';

const DEFAULT_SECONDS = 30;
const MAX_SECONDS = 300;

const schema = z.strictObject({
  command: z
    .string()
    .min(1)
    .max(100_000)
    .describe('Shell command; it starts in working_dir and ends with everything it started'),
  working_dir: z.string().optional().describe('Folder, relative to the root; default is the root'),
  timeout_seconds: z.int().min(1).max(MAX_SECONDS).optional().describe(`Default ${DEFAULT_SECONDS}`),
});

@AgentTool()
export class RunShellTool implements Tool<typeof schema> {
  readonly name = 'run_shell';
  readonly group = 'shell';
  readonly description =
    'Runs a shell command in the sandbox, without network unless the pod allows it. Files outside the workspace do not exist there.';
  readonly schema = schema;
  readonly idempotent = false;
  readonly writes = true;
  readonly needsTree = true;
  readonly timeoutMs = (MAX_SECONDS + 60) * 1000;
  readonly tiers = ['workspace', 'nova', 'host'] as const;

  constructor(private readonly sandbox: Sandbox) {}

  async run(args: z.output<typeof schema>, context: ToolContext): Promise<ToolResult> {
    const seconds = args.timeout_seconds ?? DEFAULT_SECONDS;
    if (args.command.includes('\0')) return { text: 'The command holds a NUL.', isError: true };
    try {
      const result = await this.sandbox.run(
        {
          tier: context.tier,
          network: context.network,
          root: context.root,
          folder: parsePath(args.working_dir ?? '.'),
          command: ['/bin/sh', '-c', args.command],
        },
        { owner: context.owner, timeoutMs: seconds * 1000, signal: context.signal },
      );
      return describeResult(result, seconds);
    } catch (error) {
      if (error instanceof PathRefusedError || error instanceof SandboxRefusedError)
        return { text: error.message, isError: true };
      throw error;
    }
  }
}

/** A result as models read it: how it ended and behind which boundary, then the output. */
export function describeResult(result: BoxResult, seconds: number): ToolResult {
  const end =
    result.stopped === 'timeout'
      ? `killed after ${seconds} s`
      : result.stopped === 'output'
        ? 'killed for writing too much'
        : result.stopped !== null
          ? `killed: ${BOUNDS_ENDS[result.stopped]}`
          : result.exitCode === null
            ? 'ended by a signal'
            : `exit code ${result.exitCode}`;
  return {
    text: `[${end}; ${result.boundary}]\n${result.output}`,
    ...(result.exitCode === 0 && result.stopped === null ? {} : { isError: true }),
  };
}
