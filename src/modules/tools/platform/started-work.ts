import { Injectable } from '@nestjs/common';
import { KeyStandings } from '../../auth/index.js';
import { DomainError } from '../../../platform/errors/index.js';
import type { ToolContext } from '../tool.js';
import { StartedWorkRepository } from './started-work.repository.js';

/** The tasks and turns above work that a call of `context` starts, outermost first. */
export function ancestorsBelow({ work, ancestors = [] }: Pick<ToolContext, 'work' | 'ancestors'>): string[] {
  return [...ancestors, work.id];
}

/** Work that tools start, counted where it is asked for, below the request that led to it, and against the owner's key. */
@Injectable()
export class StartedWork {
  constructor(
    private readonly started: StartedWorkRepository,
    private readonly standings: KeyStandings,
  ) {}

  /** Takes one start. @throws DomainError `conflict` when there is none left, `rate_limited`, `forbidden`. */
  async take(context: Pick<ToolContext, 'work' | 'ancestors' | 'owner'>): Promise<void> {
    const [root = context.work.id] = ancestorsBelow(context);
    const refused = await this.started.take(context.work.id, root);
    if (refused === 'work') throw new DomainError('conflict', 'Refused: this work has started as much as it may.');
    if (refused === 'request')
      throw new DomainError('conflict', 'Refused: the request that led here has started as much as it may in all.');
    await this.standings.charge(context.owner);
  }
}
