import { Injectable } from '@nestjs/common';
import { AppConfig } from '../../../config/index.js';
import { Clock } from '../../../platform/clock/index.js';
import { untilAnswered } from '../../../platform/database/index.js';
import { DomainError } from '../../../platform/errors/index.js';
import { DONE, followLog, RESET, type Told } from './turn-log.js';
import type { StoredText } from './turn-text.js';
import { TurnRelay, type RemoteLog } from './turn-relay.js';
import { KEPT_MS, TurnRunner } from '../turn-runner.js';
import type { TurnHead } from '../turn.js';
import { TurnsRepository } from '../turns.repository.js';

/** Milliseconds between two looks at what a turn in another process has stored, while that process is not heard. */
const LOOK_MS = 1_000;
/** Characters of stored words that are read, and held for a reader, at a time. */
const PIECE = 32_768;

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
  async *follow(turn: TurnHead, id: number, signal: AbortSignal): AsyncGenerator<Told, void> {
    const local = this.runner.find(turn.id);
    if (local !== null) {
      const gone = local.read();
      try {
        const stored: StoredText = (from, to) => this.storedText(turn.id, from, to, signal);
        const at = yield* followLog(local.log, id, signal, stored);
        if (at !== null) yield* this.followStored(turn, at, null, signal);
      } finally {
        gone();
      }
      return;
    }
    const remote = this.isKeptElsewhere(turn) ? this.relay.open(turn.id, id) : null;
    try {
      yield* this.followStored(turn, id, remote, signal);
    } finally {
      remote?.close();
    }
  }

  /**
   * What the running process tells; while it tells nothing, what it has stored. Checkpoints hold words only, so a reader
   * of those begins again once and then gets what is new.
   */
  private async *followStored(
    turn: TurnHead,
    id: number,
    remote: RemoteLog | null,
    signal: AbortSignal,
  ): AsyncGenerator<Told, void> {
    let at = id;
    /** Length of the stored words that the reader has; null while it has the process's own events. */
    let known: number | null = null;
    let stored: TurnHead | null = turn;
    while (!signal.aborted) {
      const events = remote === null ? [] : await remote.next(at, LOOK_MS, signal);
      const last = events?.at(-1);
      if (events !== null && last !== undefined) {
        at = last.id;
        known = null;
        yield events;
        if (last.payload === DONE) return;
        continue;
      }
      if (remote === null && stored.status === 'running') await this.clock.sleep(LOOK_MS, signal);
      stored = await untilAnswered(this.clock, LOOK_MS, signal, () => this.turns.findHead(turn.id));
      if (stored === null) return;
      if (stored.status !== 'running') return yield* this.endOf(stored, at, known, signal);
      if (events !== null && (remote?.isHeard || stored.eventId <= at)) continue;
      if (known === null) yield [RESET];
      yield { id: stored.eventId, pieces: this.text(stored, known ?? 0, signal) };
      at = stored.eventId;
      known = stored.length;
    }
  }

  /** The events after `at` of a turn that has ended. */
  private async *endOf(
    turn: TurnHead,
    at: number,
    known: number | null,
    signal: AbortSignal,
  ): AsyncGenerator<Told, void> {
    if (at === turn.eventId) return;
    const closing = [...(turn.error === null ? [] : [JSON.stringify({ error: turn.error.message })]), DONE];
    const textId = Math.max(0, turn.eventId - closing.length);
    if (known === null) yield [RESET];
    if (known === null || turn.length > known) yield { id: textId, pieces: this.text(turn, known ?? 0, signal) };
    yield closing.map((payload, index) => ({ id: textId + index + 1, payload }));
  }

  /** Reads the stored text of a turn that has just ended. @throws DomainError `not_found` when it is not all there. */
  private async *storedText(id: string, from: number, to: number, signal: AbortSignal): AsyncGenerator<string, void> {
    const turn = await untilAnswered(this.clock, LOOK_MS, signal, () => this.turns.findHead(id));
    if (signal.aborted) return;
    if (turn === null || turn.length < to) throw DomainError.notFound('turn', id);
    yield* this.text({ ...turn, length: to }, from, signal);
  }

  /** The stored words of `turn` from the character `from` on. @throws DomainError `not_found` when they were deleted. */
  private async *text(turn: TurnHead, from: number, signal: AbortSignal): AsyncGenerator<string, void> {
    for (let at = from; at < turn.length && !signal.aborted; at += PIECE) {
      const piece = await untilAnswered(this.clock, LOOK_MS, signal, () =>
        this.turns.text(turn.id, at, Math.min(PIECE, turn.length - at)),
      );
      if (piece === null && !signal.aborted) throw DomainError.notFound('turn', turn.id);
      yield piece ?? '';
    }
  }

  /** Whether another process may have the turn's events. */
  private isKeptElsewhere({ status, completedAt }: TurnHead): boolean {
    if (this.config.redis.url === null) return false;
    return (
      status === 'running' || (completedAt !== null && this.clock.now().getTime() - completedAt.getTime() < KEPT_MS)
    );
  }
}
