/** One event of a turn: what a `data:` line holds, and its number, from 1 on. */
export interface TurnEvent {
  id: number;
  payload: string;
}

/** Where a reader that cannot go on from its last event starts again: everything said up to event `id`. */
export interface Snapshot {
  id: number;
  text: string;
}

/** The payload after which nothing comes. */
export const DONE = '[DONE]';
/** Characters of payloads that are kept for readers to come back to; older events go. */
const MOST_KEPT = 1_048_576;
/** Bookkeeping of one event, in characters. */
const EVENT_COST = 64;

/**
 * What a turn has told its readers so far, in the memory of the process that runs it. Readers pull at their own pace, so a
 * slow one costs nothing; one that falls behind what is kept starts again from a snapshot.
 */
export class TurnLog {
  private events: TurnEvent[] = [];
  /** Index of the first event that is kept; what stands before it is dropped now and then. */
  private from = 0;
  /** About how many characters of memory the events take. */
  size = 0;
  private closing = false;
  private waiting = new Set<() => void>();
  private words: string[] = [];
  private whole = '';
  private wordsId = 0;
  lastId = 0;

  constructor(private readonly mostKept = MOST_KEPT) {}

  /** Whether the last event is here. */
  ended = false;

  /** Everything said so far. */
  get text(): string {
    if (this.words.length > 0) this.whole += this.words.splice(0).join('');
    return this.whole;
  }

  say(text: string): void {
    if (this.ended) return;
    this.words.push(text);
    this.append({ t: text });
  }

  status(status: object): void {
    this.append({ status });
  }

  /** Ends the log, with an error first if there is one. Does nothing when it has ended. */
  end(error: string | null): void {
    if (this.ended) return;
    this.closing = true;
    if (error !== null) this.append({ error });
    this.ended = true;
    this.push(DONE);
  }

  snapshot(): Snapshot {
    return { id: this.wordsId, text: this.text };
  }

  /** The events after `id`; null when they are not all kept, or `id` is none of this log. */
  after(id: number): TurnEvent[] | null {
    if (id > this.lastId) return null;
    const first = this.events[this.from]?.id ?? this.lastId + 1;
    if (id + 1 < first) return null;
    return this.events.slice(this.from + (id + 1 - first));
  }

  /** Resolves once there is an event after `id`, or `signal` aborts. */
  async beyond(id: number, signal: AbortSignal): Promise<void> {
    while (this.lastId <= id && !this.ended && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.waiting.add(wake);
        signal.addEventListener('abort', wake, { once: true });
      });
    }
  }

  private append(payload: object): void {
    if (this.ended) return;
    this.push(JSON.stringify(payload));
  }

  private push(payload: string): void {
    this.lastId += 1;
    // What closes a turn says nothing that a snapshot could hold.
    if (!this.closing) this.wordsId = this.lastId;
    this.events.push({ id: this.lastId, payload });
    this.size += payload.length + EVENT_COST;
    while (this.size > this.mostKept && !this.closing && this.from < this.events.length - 1) {
      this.size -= (this.events[this.from]?.payload.length ?? 0) + EVENT_COST;
      this.from += 1;
    }
    if (this.from > 1_000 && this.from > this.events.length / 2) {
      this.events = this.events.slice(this.from);
      this.from = 0;
    }
    for (const wake of this.waiting) wake();
  }
}

/** What a reader is to be sent, ids included. */
export const RESET: TurnEvent = { id: 0, payload: JSON.stringify({ reset: true }) };

/** A reader's fresh start: a reader that is lost between the two begins again from nothing. */
export function restart(snapshot: Snapshot): TurnEvent[] {
  return [RESET, { id: snapshot.id, payload: JSON.stringify({ t: snapshot.text }) }];
}

/**
 * The events after `id` as they come, until the last one or until `signal` aborts. A reader whose next event is not kept
 * gets a fresh start.
 */
export async function* followLog(log: TurnLog, id: number, signal: AbortSignal): AsyncGenerator<TurnEvent[], void> {
  for (let at = id; !signal.aborted;) {
    const events = log.after(at);
    if (events === null) {
      const snapshot = log.snapshot();
      at = snapshot.id;
      yield restart(snapshot);
      continue;
    }
    at = events.at(-1)?.id ?? at;
    if (events.length > 0) yield events;
    if (log.ended && at >= log.lastId) return;
    await log.beyond(at, signal);
  }
}
