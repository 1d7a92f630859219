import { Injectable } from '@nestjs/common';
import { AppConfig } from '../../config/index.js';
import { onScheduler, Periodic } from '../../platform/schedule/index.js';
import { StartStep } from '../../platform/startup/index.js';
import { AgentsService } from '../agents/index.js';
import { StartedWorkRepository } from '../tools/index.js';
import { TurnRunner } from './turn-runner.js';
import { TurnsRepository } from './turns.repository.js';

const BATCH = 500;
/** Days that the number of starts of a task is remembered: longer than any task works. */
const STARTS_DAYS = 400;
const RETENTION_MS = 600_000;

/** Ends turns whose process died, and deletes old ones. Any number of replicas may do so at once. */
@Injectable()
export class TurnsReaper {
  constructor(
    private readonly config: AppConfig,
    private readonly runner: TurnRunner,
    private readonly turns: TurnsRepository,
    private readonly agents: AgentsService,
    private readonly started: StartedWorkRepository,
  ) {}

  /**
   * Ends what died before this process started. A process with in-process state is alone on its database, so every turn of
   * others is dead.
   */
  @StartStep('recover-agents')
  async recover(): Promise<void> {
    await this.interrupt(this.config.redis.url === null ? this.runner.id : null);
  }

  /** Ends the turns whose lease has run out. */
  @Periodic('dead-turns', onScheduler(({ pipeline }) => pipeline.reaperSeconds * 1_000))
  async reap(): Promise<void> {
    await this.interrupt(null);
  }

  /** Deletes what is older than its retention setting. */
  @Periodic('turn-retention', onScheduler(() => RETENTION_MS))
  async retain(): Promise<void> {
    const { turns } = this.config.retentionDays;
    if (turns !== null) await this.turns.deleteEndedBefore(turns, BATCH);
    await this.started.deleteBefore(STARTS_DAYS);
  }

  private async interrupt(self: string | null): Promise<void> {
    for (;;) {
      const ended = await this.turns.interrupt(self, BATCH);
      for (const agentId of new Set(ended.map((turn) => turn.agentId))) await this.agents.noteActivity(agentId);
      if (ended.length < BATCH) return;
    }
  }
}
