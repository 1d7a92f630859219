import { Injectable } from '@nestjs/common';
import type { z } from 'zod';
import type { SandboxTier } from '../../../config/index.js';
import { PathRefusedError } from '../boundary/path-refused.js';
import { parsePath } from '../boundary/relative-path.js';
import { Sandbox, SandboxRefusedError, type BoxResult } from '../sandbox/sandbox.js';
import { describeResult } from '../shell/run-shell.tool.js';
import type { Tool, ToolContext, ToolResult } from '../tool.js';

const SECONDS = 60;

/**
 * A repository that a model can write to makes git run programs (filters, hooks, monitors), and no set of options stops
 * all of them: git therefore runs in the sandbox only. The settings below take away what can be taken away on top.
 */
const ENVIRONMENT = {
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_NO_LAZY_FETCH: '1',
  GIT_AUTHOR_NAME: 'Nova',
  GIT_AUTHOR_EMAIL: 'nova@localhost',
  GIT_COMMITTER_NAME: 'Nova',
  GIT_COMMITTER_EMAIL: 'nova@localhost',
};

const SETTINGS = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.pager=cat',
  'core.editor=false',
  'commit.gpgSign=false',
  'protocol.allow=never',
  'submodule.recurse=false',
  'safe.directory=*',
];

/** What the git tools share. A workspace is a repository only if its own `.git` is right in it. */
@Injectable()
export abstract class GitTool<Arguments extends z.ZodType> implements Tool<Arguments> {
  readonly group = 'git';
  readonly timeoutMs = (SECONDS + 60) * 1000;
  readonly tiers: readonly SandboxTier[] = ['workspace', 'nova', 'host'];
  readonly idempotent: boolean = true;
  readonly writes: boolean = false;
  readonly needsTree = true;
  abstract readonly name: string;
  abstract readonly description: string;
  abstract readonly schema: Arguments;

  constructor(private readonly sandbox: Sandbox) {}

  protected abstract work(args: z.output<Arguments>, context: ToolContext): Promise<BoxResult>;

  async run(args: z.output<Arguments>, context: ToolContext): Promise<ToolResult> {
    try {
      return describeResult(await this.work(args, context), SECONDS);
    } catch (error) {
      if (error instanceof PathRefusedError || error instanceof SandboxRefusedError)
        return { text: error.message, isError: true };
      throw error;
    }
  }

  /** Runs `git …args`. Paths belong after `--`, as `literalPath` gives them. */
  protected git(context: ToolContext, args: readonly string[]): Promise<BoxResult> {
    const top = context.tier === 'host' ? context.root : '/workspace';
    return this.sandbox.run(
      {
        tier: context.tier,
        network: false,
        root: context.root,
        git: 'settings',
        environment: {
          ...ENVIRONMENT,
          GIT_DIR: `${top}/.git`,
          GIT_WORK_TREE: top,
          GIT_CEILING_DIRECTORIES: top.slice(0, top.lastIndexOf('/')) || '/',
        },
        command: ['/usr/bin/env', 'git', '--no-pager', ...SETTINGS.flatMap((setting) => ['-c', setting]), ...args],
      },
      { owner: context.owner, timeoutMs: SECONDS * 1000, signal: context.signal },
    );
  }
}

/** `path` as git takes it after `--`: itself, no pattern. @throws PathRefusedError when it leads out of the root. */
export function literalPath(path: string): string {
  return `:(top,literal)${parsePath(path).join('/')}`;
}
