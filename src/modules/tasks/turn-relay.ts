import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Clock } from '../../platform/clock/index.js';
import { EventBus } from '../../platform/redis/index.js';
import { restart, type TurnEvent } from './turn-log.js';
import { TurnRunner } from './turn-runner.js';

/** Asks the process that runs a turn for its events: `{ turn_id, reader_id, after }`; `after` is null when the reader leaves. */
const WATCH_CHANNEL = 'turns:watch';
/** How often a reader says that it is still there, and how long it is believed without. */
const WATCH_MS = 1_000;
const BELIEVED_MS = 3_500;
/** Characters of events in one message; the bus carries about a million bytes. */
const MOST_IN_MESSAGE = 200_000;
/** How long events may wait for others to travel with them. */
const GATHER_MS = 25;

interface RelayMessage {
  turn_id: string;
  events: TurnEvent[];
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
    const { turn_id: turnId, reader_id: readerId, after } = (message ?? {}) as Record<string, unknown>;
    if (typeof turnId !== 'string' || typeof readerId !== 'string') return;
    const known = this.watched.get(readerId);
    if (typeof after !== 'number') {
      known?.stop.abort();
      return;
    }
    if (this.runner.find(turnId) === null) return;
    if (known !== undefined) known.untilMs = this.clock.monotonicMs() + BELIEVED_MS;
    else void this.serve(turnId, readerId);
    void this.answer(turnId, readerId, after);
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
    let at = log.lastId;
    try {
      while (!signal.aborted && this.clock.monotonicMs() < watched.untilMs) {
        await log.beyond(at, AbortSignal.any([signal, AbortSignal.timeout(WATCH_MS)]));
        if (log.lastId <= at) {
          if (log.ended) return;
          continue;
        }
        await this.clock.sleep(GATHER_MS, signal);
        await this.answer(turnId, readerId, at);
        at = log.lastId;
      }
    } finally {
      gone();
      this.watched.delete(readerId);
    }
  }

  private async answer(turnId: string, readerId: string, after: number): Promise<void> {
    const log = this.runner.find(turnId)?.log;
    if (log === undefined) return;
    let events = log.after(after) ?? [...restart(log.snapshot()), ...(log.after(log.snapshot().id) ?? [])];
    do {
      let size = 0;
      const cut = events.findIndex(
        ({ payload }, index) => (size += payload.length + 32) > MOST_IN_MESSAGE && index > 0,
      );
      const part = cut < 0 ? events : events.slice(0, cut);
      events = cut < 0 ? [] : events.slice(cut);
      await this.bus.publish(replyChannel(readerId), { turn_id: turnId, events: part } satisfies RelayMessage);
    } while (events.length > 0);
  }
}

/** A reader's view of a turn that another process runs. */
export class RemoteLog {
  private readonly id: string;
  private queue: TurnEvent[][] = [];
  private wake: (() => void) | null = null;
  private heardAtMs = -Infinity;
  private askedAtMs = -Infinity;
  private readonly unsubscribe: () => void;

  constructor(
    private readonly clock: Clock,
    private readonly bus: EventBus,
    private readonly turnId: string,
    private at: number,
  ) {
    this.id = clock.newId();
    this.unsubscribe = bus.subscribe(
      replyChannel(this.id),
      (message) => {
        this.heardAtMs = this.clock.monotonicMs();
        this.queue.push((message as RelayMessage).events);
        this.wake?.();
      },
      () => this.ask(),
    );
    this.ask();
  }

  /** Whether the process that runs the turn has answered lately. */
  get isHeard(): boolean {
    return this.clock.monotonicMs() - this.heardAtMs < BELIEVED_MS;
  }

  /** The next events after `at`, in order and without a gap; none when `timeoutMs` passed or `signal` aborted. */
  async next(at: number, timeoutMs: number, signal: AbortSignal): Promise<TurnEvent[]> {
    this.at = at;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    while (!deadline.aborted) {
      for (let events = this.queue.shift(); events !== undefined; events = this.queue.shift()) {
        const isRestart = events[0]?.id === 0;
        if (isRestart && (events[1]?.id ?? 0) > at) return events;
        const fresh = events.filter(({ id }) => id > at);
        if (fresh[0]?.id === at + 1) return fresh;
        if (fresh.length === 0 || isRestart) continue;
        // Something between was lost on the way.
        this.queue = [];
        this.ask();
      }
      if (this.clock.monotonicMs() - this.askedAtMs >= WATCH_MS) this.ask();
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          deadline.removeEventListener('abort', done);
          this.wake = null;
          resolve();
        };
        const timer = setTimeout(done, WATCH_MS);
        this.wake = done;
        deadline.addEventListener('abort', done, { once: true });
      });
    }
    return [];
  }

  close(): void {
    this.unsubscribe();
    void this.bus.publish(WATCH_CHANNEL, { turn_id: this.turnId, reader_id: this.id, after: null });
  }

  private ask(): void {
    this.askedAtMs = this.clock.monotonicMs();
    void this.bus.publish(WATCH_CHANNEL, { turn_id: this.turnId, reader_id: this.id, after: this.at });
  }
}

function replyChannel(readerId: string): string {
  return `turns:reader:${readerId}`;
}
