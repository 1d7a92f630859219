import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Clock } from '../../../platform/clock/index.js';
import { EventBus } from '../../../platform/redis/index.js';
import type { TurnEvent } from './turn-log.js';
import { TurnRunner } from '../turn-runner.js';

/**
 * Asks the process that runs a turn for its events: `{ turn_id, reader_id, after }`; `after` is null when the reader leaves.
 * With `waiting` it only says that the reader is still there and has not yet passed on what it has.
 */
const WATCH_CHANNEL = 'turns:watch';
/** How often a reader says that it is still there, and how long it is believed without. */
const WATCH_MS = 1_000;
const BELIEVED_MS = 3_500;
/** Characters of events in one message; the bus carries about a million bytes. */
const MOST_IN_MESSAGE = 200_000;
/** Characters of events that one question is answered with; who has passed them on asks again. */
const MOST_IN_ANSWER = 400_000;
/** Characters of events that may wait for one reader; further ones are dropped and asked for again. */
const MOST_WAITING = 400_000;
/** How long events may wait for others to travel with them. */
const GATHER_MS = 25;
/** How soon the same question is asked again. */
const ASK_AGAIN_MS = 250;

interface RelayMessage {
  turn_id: string;
  events: TurnEvent[];
  /** The id after which the events are no longer kept; the words up to now are stored. */
  gone?: number;
}

interface Watched {
  untilMs: number;
  stop: AbortController;
}

/**
 * Brings the events of a turn to readers in other processes. A reader asks for what follows its last event and keeps asking
 * while it is there, so a lost message is asked for again; the owner counts it as a reader of the turn for as long.
 */
@Injectable()
export class TurnRelay implements OnModuleDestroy {
  /** Readers elsewhere that this process sends to. */
  private readonly watched = new Map<string, Watched>();
  private readonly unsubscribe: () => void;

  constructor(
    private readonly clock: Clock,
    private readonly bus: EventBus,
    private readonly runner: TurnRunner,
  ) {
    this.unsubscribe = bus.subscribe(WATCH_CHANNEL, (message) => this.hear(message));
  }

  onModuleDestroy(): void {
    this.unsubscribe();
    for (const { stop } of this.watched.values()) stop.abort();
  }

  /** Begins to ask for the events of a turn that another process runs. */
  open(turnId: string, after: number): RemoteLog {
    return new RemoteLog(this.clock, this.bus, turnId, after);
  }

  private hear(message: unknown): void {
    const { turn_id: turnId, reader_id: readerId, after, waiting } = (message ?? {}) as Record<string, unknown>;
    if (typeof turnId !== 'string' || typeof readerId !== 'string') return;
    const known = this.watched.get(readerId);
    if (typeof after !== 'number') {
      known?.stop.abort();
      return;
    }
    if (this.runner.find(turnId) === null) return;
    if (known !== undefined) known.untilMs = this.clock.monotonicMs() + BELIEVED_MS;
    else void this.serve(turnId, readerId);
    if (waiting !== true) void this.answer(turnId, readerId, after);
  }

  /** Counts a reader elsewhere among the turn's readers while it keeps asking, and tells it what comes. */
  private async serve(turnId: string, readerId: string): Promise<void> {
    const turn = this.runner.find(turnId);
    if (turn === null) return;
    const watched: Watched = { untilMs: this.clock.monotonicMs() + BELIEVED_MS, stop: new AbortController() };
    this.watched.set(readerId, watched);
    const gone = turn.read();
    const { signal } = watched.stop;
    const { log } = turn;
    const look = setInterval(log.wake, WATCH_MS).unref();
    signal.addEventListener('abort', log.wake, { once: true });
    let at = log.lastId;
    try {
      while (!signal.aborted && this.clock.monotonicMs() < watched.untilMs) {
        if (log.lastId <= at) {
          if (log.ended) return;
          await log.next();
          continue;
        }
        await this.clock.sleep(GATHER_MS, signal);
        at = await this.answer(turnId, readerId, at);
      }
    } finally {
      clearInterval(look);
      gone();
      this.watched.delete(readerId);
    }
  }

  /** Tells what follows `after`, up to a bound; returns the id after which to go on. */
  private async answer(turnId: string, readerId: string, after: number): Promise<number> {
    const log = this.runner.find(turnId)?.log;
    if (log === undefined) return after;
    let at = after;
    for (let size = 0; size < MOST_IN_ANSWER;) {
      const events = log.after(at, MOST_IN_MESSAGE);
      if (events === null) {
        if (await this.runner.checkpoint(turnId)) await this.tell(readerId, { turn_id: turnId, events: [], gone: at });
        return log.lastId;
      }
      if (events.length > 0 || at === after) await this.tell(readerId, { turn_id: turnId, events });
      if (events.length === 0) return at;
      at = events.at(-1)?.id ?? at;
      size += sizeOf(events);
    }
    return at;
  }

  private async tell(readerId: string, message: RelayMessage): Promise<void> {
    await this.bus.publish(replyChannel(readerId), message);
  }
}

/** A reader's view of a turn that another process runs. */
export class RemoteLog {
  private readonly id: string;
  private queue: TurnEvent[][] = [];
  private queued = 0;
  private gone: number | null = null;
  private wake: (() => void) | null = null;
  private heardAtMs = -Infinity;
  private asked = { after: -1, atMs: -Infinity };
  private readonly unsubscribe: () => void;
  private readonly presence: NodeJS.Timeout;

  constructor(
    private readonly clock: Clock,
    private readonly bus: EventBus,
    private readonly turnId: string,
    private at: number,
  ) {
    this.id = clock.newId();
    this.unsubscribe = bus.subscribe(
      replyChannel(this.id),
      (message) => this.hear(message as RelayMessage),
      () => this.ask(),
    );
    this.ask();
    // A reader whose client is slow asks for nothing and is there all the same.
    this.presence = setInterval(() => void this.say({ after: this.at, waiting: true }), WATCH_MS).unref();
  }

  /** Whether the process that runs the turn has answered lately. */
  get isHeard(): boolean {
    return this.clock.monotonicMs() - this.heardAtMs < BELIEVED_MS;
  }

  /**
   * The next events after `at`, in order and without a gap; none when `timeoutMs` passed or `signal` aborted, null when they
   * are gone and the words are stored.
   */
  async next(at: number, timeoutMs: number, signal: AbortSignal): Promise<TurnEvent[] | null> {
    this.at = at;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    while (!deadline.aborted) {
      const fresh = this.take(at);
      if (fresh.length > 0) return fresh;
      if (this.gone === at) {
        this.gone = null;
        return null;
      }
      if (this.clock.monotonicMs() - this.asked.atMs >= WATCH_MS) this.ask();
      const heard = new AbortController();
      this.wake = () => heard.abort();
      await this.clock.sleep(WATCH_MS, AbortSignal.any([deadline, heard.signal]));
      this.wake = null;
    }
    return [];
  }

  close(): void {
    clearInterval(this.presence);
    this.unsubscribe();
    void this.say({ after: null });
  }

  private hear({ events, gone }: RelayMessage): void {
    this.heardAtMs = this.clock.monotonicMs();
    if (gone !== undefined) this.gone = gone;
    const size = sizeOf(events);
    // What is dropped leaves a gap, at which it is asked for again.
    if (this.queued === 0 || this.queued + size <= MOST_WAITING) {
      this.queue.push(events);
      this.queued += size;
    }
    this.wake?.();
  }

  private take(at: number): TurnEvent[] {
    for (let events = this.queue.shift(); events !== undefined; events = this.queue.shift()) {
      this.queued -= sizeOf(events);
      const fresh = events.filter(({ id }) => id > at);
      if (fresh.length === 0) continue;
      if (fresh[0]?.id === at + 1) return fresh;
      // Something between was lost on the way.
      this.queue = [];
      this.queued = 0;
      const { after, atMs } = this.asked;
      if (after !== at || this.clock.monotonicMs() - atMs >= ASK_AGAIN_MS) this.ask();
    }
    return [];
  }

  private ask(): void {
    this.asked = { after: this.at, atMs: this.clock.monotonicMs() };
    void this.say({ after: this.at });
  }

  private async say(what: { after: number | null; waiting?: true }): Promise<void> {
    await this.bus.publish(WATCH_CHANNEL, { turn_id: this.turnId, reader_id: this.id, ...what });
  }
}

function sizeOf(events: readonly TurnEvent[]): number {
  return events.reduce((sum, { payload }) => sum + payload.length, 0);
}

function replyChannel(readerId: string): string {
  return `turns:reader:${readerId}`;
}
