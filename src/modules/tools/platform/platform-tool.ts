import { Injectable } from '@nestjs/common';
import type { z } from 'zod';
import { SANDBOX_TIERS } from '../../../config/index.js';
import { DomainError } from '../../../platform/errors/index.js';
import type { Tool, ToolContext, ToolResult } from '../index.js';
import { StartedWork } from './started-work.js';

/** How deep work that tools start may go; what a person asks for has depth 0. */
const DEEPEST = 3;

/** What the tools that work with the service itself share: a refusal of the service is an answer to the model. */
export abstract class PlatformTool<Arguments extends z.ZodType> implements Tool<Arguments> {
  readonly group = 'platform';
  readonly tiers = SANDBOX_TIERS;
  readonly writes = false;
  readonly idempotent: boolean = true;
  readonly timeoutMs: number = 30_000;
  abstract readonly name: string;
  abstract readonly description: string;
  abstract readonly schema: Arguments;

  protected abstract work(args: z.output<Arguments>, context: ToolContext): Promise<ToolResult>;

  async run(args: z.output<Arguments>, context: ToolContext): Promise<ToolResult> {
    try {
      return await this.work(args, context);
    } catch (error) {
      if (error instanceof DomainError && error.code !== 'internal') return { text: error.detail, isError: true };
      throw error;
    }
  }
}

/** A platform tool that starts something, which a task or turn may do only so often and so deep. */
@Injectable()
export abstract class StartingTool<Arguments extends z.ZodType> extends PlatformTool<Arguments> {
  override readonly idempotent = false;

  constructor(private readonly started: StartedWork) {
    super();
  }

  /** Starts it. `depth` is that of the new work. */
  protected abstract start(args: z.output<Arguments>, context: ToolContext, depth: number): Promise<ToolResult>;

  protected async work(args: z.output<Arguments>, context: ToolContext): Promise<ToolResult> {
    const depth = (context.depth ?? 0) + 1;
    if (depth > DEEPEST)
      return { text: `Refused: work may start work ${DEEPEST} levels deep, no deeper.`, isError: true };
    await this.started.take(context);
    return this.start(args, context, depth);
  }
}
