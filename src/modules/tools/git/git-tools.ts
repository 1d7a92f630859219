import { z } from 'zod';
import { PathRefusedError } from '../boundary/path-refused.js';
import { refuseGit, parsePath } from '../boundary/relative-path.js';
import type { BoxResult } from '../sandbox/sandbox.js';
import { AgentTool } from '../agent-tool.js';
import type { ToolContext } from '../tool.js';
import { GitTool, literalPath } from './git-tool.js';

const statusSchema = z.strictObject({});

@AgentTool()
export class GitStatusTool extends GitTool<typeof statusSchema> {
  readonly name = 'git_status';
  readonly description = 'Shows the branch and the changed files of the repository.';
  readonly schema = statusSchema;

  protected work(_: z.output<typeof statusSchema>, context: ToolContext): Promise<BoxResult> {
    return this.git(context, [
      '--no-optional-locks',
      'status',
      '--porcelain=v1',
      '--branch',
      '--ignore-submodules=dirty',
    ]);
  }
}

const diffSchema = z.strictObject({
  path: z.string().optional().describe('Only this file or folder'),
  staged: z.boolean().optional().describe('What is staged, instead of what is not'),
});

@AgentTool()
export class GitDiffTool extends GitTool<typeof diffSchema> {
  readonly name = 'git_diff';
  readonly description = 'Shows changes of tracked files that are not committed.';
  readonly schema = diffSchema;

  protected work(args: z.output<typeof diffSchema>, context: ToolContext): Promise<BoxResult> {
    return this.git(context, [
      '--no-optional-locks',
      'diff',
      '--no-ext-diff',
      '--no-textconv',
      '--no-color',
      '--ignore-submodules=dirty',
      ...(args.staged ? ['--cached'] : []),
      '--',
      ...(args.path === undefined ? [] : [literalPath(args.path)]),
    ]);
  }
}

const logSchema = z.strictObject({ n: z.int().min(1).max(200).optional().describe('Number of commits; default 20') });

@AgentTool()
export class GitLogTool extends GitTool<typeof logSchema> {
  readonly name = 'git_log';
  readonly description = 'Lists the newest commits: hash, date, author, subject.';
  readonly schema = logSchema;

  protected work(args: z.output<typeof logSchema>, context: ToolContext): Promise<BoxResult> {
    return this.git(context, [
      'log',
      '-n',
      `${args.n ?? 20}`,
      '--no-color',
      '--no-show-signature',
      '--no-ext-diff',
      '--no-textconv',
      '--date=iso-strict',
      '--format=%h %ad %an: %s',
      '--',
    ]);
  }
}

const commitSchema = z.strictObject({
  message: z.string().min(1).max(10_000),
  files: z.array(z.string()).min(1).max(500).describe('The files to commit, relative to the root; deleted ones too'),
});

@AgentTool()
export class GitCommitTool extends GitTool<typeof commitSchema> {
  readonly name = 'git_commit';
  readonly description = 'Commits the named files as they are now. Nothing is pushed.';
  readonly schema = commitSchema;
  readonly publishes = true;
  override readonly idempotent = false;
  override readonly writes = true;

  protected async work(args: z.output<typeof commitSchema>, context: ToolContext): Promise<BoxResult> {
    if (args.message.includes('\0')) throw new PathRefusedError('The message holds a NUL.');
    for (const path of args.files) refuseGit(parsePath(path));
    const names = args.files.map((path) => parsePath(path).join('/'));
    const taken = await this.git(context, ['update-index', '--add', '--remove', '--', ...names]);
    if (taken.exitCode !== 0 || taken.stopped !== null) return taken;
    return this.git(context, [
      'commit',
      '--no-verify',
      '--no-gpg-sign',
      '--no-status',
      '--cleanup=strip',
      `--message=${args.message}`,
      '--',
      ...args.files.map(literalPath),
    ]);
  }
}
