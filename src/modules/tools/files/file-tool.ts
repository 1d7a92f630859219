import { Injectable } from '@nestjs/common';
import type { z } from 'zod';
import type { SandboxTier } from '../../../config/index.js';
import { asRefusal, PathRefusedError } from '../boundary/path-refused.js';
import { KeyedQueue } from '../../../platform/concurrency/index.js';
import { Places } from './places.js';
import type { Tool, ToolContext, ToolResult } from '../tool.js';

/**
 * What the file tools share: they reach files through checked descriptors only, below a root that the tier decides, and a
 * refusal of the boundary is an answer to the model.
 */
@Injectable()
export abstract class FileTool<Arguments extends z.ZodType> implements Tool<Arguments> {
  /** Writers of one root take turns, so that two edits of one file in one round do not undo each other. */
  protected static readonly writers = new KeyedQueue();

  readonly group = 'files';
  readonly timeoutMs: number = 30_000;
  readonly tiers: readonly SandboxTier[] = ['workspace', 'nova', 'host'];
  readonly idempotent: boolean = true;
  readonly writes: boolean = false;

  get needsTree(): boolean {
    return this.writes;
  }

  abstract readonly name: string;
  abstract readonly description: string;
  abstract readonly schema: Arguments;

  constructor(protected readonly places: Places) {}

  protected abstract work(args: z.output<Arguments>, context: ToolContext): Promise<string>;

  async run(args: z.output<Arguments>, context: ToolContext): Promise<ToolResult> {
    try {
      return { text: await this.work(args, context) };
    } catch (error) {
      const refused = asRefusal(error, 'The path');
      if (refused instanceof PathRefusedError) return { text: refused.message, isError: true };
      throw error;
    }
  }
}

/** The folder and the name that a path ends in. @throws PathRefusedError for the root itself. */
export function splitPath(segments: readonly string[]): { folder: string[]; name: string } {
  const name = segments.at(-1);
  if (name === undefined) throw new PathRefusedError('The path names the root, not a file.');
  return { folder: segments.slice(0, -1), name };
}
