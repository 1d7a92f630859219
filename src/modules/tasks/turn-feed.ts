import { Injectable } from '@nestjs/common';
import { AppConfig } from '../../config/index.js';
import { Clock } from '../../platform/clock/index.js';
import { DomainError } from '../../platform/errors/index.js';
import { DONE, followLog, restart, type TurnEvent } from './turn-log.js';
import { TurnRelay } from './turn-relay.js';
import { KEPT_MS, TurnRunner } from './turn-runner.js';
import type { Turn } from './turn.js';
import { TurnsRepository } from './turns.repository.js';

/** Milliseconds between two looks at what a turn in another process has stored, while that process is not heard. */
const LOOK_MS = 1_000;

/**
 * The events of turns, for readers who come later or come back: from the memory of this process, from the process that has
 * them, or made up from what is stored.
 */
@Injectable()
export class TurnFeed {
  constructor(
    private readonly config: AppConfig,
    private readonly clock: Clock,
    private readonly runner: TurnRunner,
    private readonly relay: TurnRelay,
    private readonly turns: TurnsRepository,
  ) {}

  /** The events of `turn` after `id`, as they come. Ends after the last one, when the turn is deleted, or with `signal`. */
  async *follow(turn: Turn, id: number, signal: AbortSignal): AsyncGenerator<TurnEvent[], void> {
    const local = this.runner.find(turn.id);
    if (local === null) return yield* this.followElsewhere(turn, id, signal);
    const gone = local.read();
    try {
      yield* followLog(local.log, id, signal);
    } finally {
      gone();
    }
  }

  /**
   * What the running process tells; while it tells nothing, what it has stored. Checkpoints hold words only, so a reader
   * of those starts again once and then gets what is new.
   */
  private async *followElsewhere(turn: Turn, id: number, signal: AbortSignal): AsyncGenerator<TurnEvent[], void> {
    let at = id;
    /** Length of the stored text that the reader has; null while it has the process's own events. */
    let known: number | null = null;
    let stored: Turn | null = turn;
    const remote = this.isKeptElsewhere(turn) ? this.relay.open(turn.id, at) : null;
    try {
      while (!signal.aborted && stored !== null) {
        const events = remote === null ? null : await remote.next(at, LOOK_MS, signal);
        if (events !== null && events.length > 0) {
          at = events.at(-1)?.id ?? at;
          known = null;
          yield events;
          if (events.at(-1)?.payload === DONE) return;
          continue;
        }
        if (remote === null && stored.status === 'running') await this.clock.sleep(LOOK_MS, signal);
        stored = await this.look(turn.id, signal);
        if (stored === null) return;
        if (stored.status !== 'running') {
          yield endOf(stored, at, known);
          return;
        }
        if (remote?.isHeard || stored.eventId <= at) continue;
        const text = stored.response ?? '';
        yield known === null
          ? restart({ id: stored.eventId, text })
          : [{ id: stored.eventId, payload: JSON.stringify({ t: text.slice(known) }) }];
        at = stored.eventId;
        known = text.length;
      }
    } finally {
      remote?.close();
    }
  }

  /** Whether another process may have the turn's events. */
  private isKeptElsewhere({ status, completedAt }: Turn): boolean {
    if (this.config.redis.url === null) return false;
    return (
      status === 'running' || (completedAt !== null && this.clock.now().getTime() - completedAt.getTime() < KEPT_MS)
    );
  }

  private async look(id: string, signal: AbortSignal): Promise<Turn | null> {
    for (;;) {
      try {
        return await this.turns.find(id);
      } catch (error) {
        if (!(error instanceof DomainError) || error.code !== 'dependency_unavailable') throw error;
        await this.clock.sleep(LOOK_MS, signal);
        if (signal.aborted) return null;
      }
    }
  }
}

/** What a reader who has everything up to `at` is still to be told of a turn that has ended. */
function endOf(turn: Turn, at: number, known: number | null): TurnEvent[] {
  if (at === turn.eventId) return [];
  const closing = [...(turn.error === null ? [] : [JSON.stringify({ error: turn.error.message })]), DONE];
  const wordsId = Math.max(0, turn.eventId - closing.length);
  const text = turn.response ?? '';
  const words =
    known === null
      ? restart({ id: wordsId, text })
      : [{ id: wordsId, payload: JSON.stringify({ t: text.slice(known) }) }].filter(() => text.length > known);
  return [...words, ...closing.map((payload, index) => ({ id: wordsId + index + 1, payload }))];
}
