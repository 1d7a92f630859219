import { partsOf, TurnText, type StoredText } from './turn-text.js';

/** One event of a turn: what a `data:` line holds, and its number, from 1 on. */
export interface TurnEvent {
  id: number;
  payload: string;
}

/**
 * One event whose payload, a `t`, is too long to be held for each reader: the words up to event `id` in pieces, as text or
 * as the bytes of its JSON.
 */
export interface TextPieces {
  id: number;
  pieces: AsyncIterable<string | Buffer>;
}

/** One piece for a reader. */
export type Told = TurnEvent[] | TextPieces;

/** The payload after which nothing comes. */
export const DONE = '[DONE]';
/** A reader that cannot go on from its last event begins again: this, then all words so far as one event. */
export const RESET: TurnEvent = { id: 0, payload: JSON.stringify({ reset: true }) };
/** Characters of payloads that are kept for readers to come back to; older events go. */
const MOST_KEPT = 524_288;
/** Bookkeeping of one event, in characters. */
const EVENT_COST = 64;
/** Characters of events that a reader takes at a time, and may hold while it waits for its client. */
const MOST_AT_ONCE = 65_536;

/**
 * The events of a turn so far, in the memory of the process that runs it. Readers pull at their own pace, so a
 * slow one costs nothing; one that falls behind what is kept begins again.
 */
export class TurnLog {
  /** By id, without gaps. */
  private readonly events = new Map<number, TurnEvent>();
  private firstId = 1;
  /** About how many characters of memory the events take. */
  size = 0;
  private closing = false;
  /** One promise for all who wait, since hundreds may. */
  private coming: Promise<void> | null = null;
  private arrive: () => void = () => undefined;
  /** Everything said so far; null once the log has ended, since it is stored then. */
  private text: TurnText | null = new TurnText();
  /** The id of the last event that a reader who begins again has had with the words. */
  textId = 0;
  lastId = 0;

  constructor(private readonly mostKept = MOST_KEPT) {}

  /** Whether the last event is here. */
  ended = false;

  /** Text from a character on; empty once the log has ended. */
  textFrom(character: number): string {
    return this.text?.from(character) ?? '';
  }

  say(text: string): void {
    if (this.ended) return;
    for (const part of partsOf(text)) {
      // A slice keeps all of `text` alive, and readers may hold parts for long.
      this.text?.add(text.length > MOST_AT_ONCE ? Buffer.from(part).toString() : part);
      this.append({ t: part });
    }
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
    this.text?.release();
    this.text = null;
    this.push(DONE);
  }

  /** All words so far, for a reader that begins again; null once the log has ended, which leaves the rest to `stored`. */
  restart(stored: StoredText): TextPieces | null {
    return this.text && { id: this.textId, pieces: this.text.pieces(stored) };
  }

  /**
   * The next events after `id`, about `most` characters of them; null when they are not all kept, or `id` is none of this
   * log.
   */
  after(id: number, most = MOST_AT_ONCE): TurnEvent[] | null {
    if (id > this.lastId || id + 1 < this.firstId) return null;
    const events: TurnEvent[] = [];
    for (let next = id + 1, size = 0; size < most; next += 1) {
      const event = this.events.get(next);
      if (event === undefined) break;
      events.push(event);
      size += costOf(event);
    }
    return events;
  }

  /** Resolves at the next event, or when `wake` is called. */
  next(): Promise<void> {
    this.coming ??= new Promise((resolve) => (this.arrive = resolve));
    return this.coming;
  }

  /** Lets everyone who waits for the `next` event look again. */
  readonly wake = (): void => {
    this.coming = null;
    this.arrive();
  };

  private append(payload: object): void {
    if (this.ended) return;
    this.push(JSON.stringify(payload));
  }

  private push(payload: string): void {
    this.lastId += 1;
    // What closes a turn says nothing that a reader could begin again with.
    if (!this.closing) this.textId = this.lastId;
    const event = { id: this.lastId, payload };
    this.events.set(event.id, event);
    this.size += costOf(event);
    while (this.size > this.mostKept && !this.closing && this.firstId < this.lastId) {
      this.size -= costOf(this.events.get(this.firstId));
      this.events.delete(this.firstId);
      this.firstId += 1;
    }
    this.wake();
  }
}

/**
 * The events after `id` as they come, until the last one or until `signal` aborts; then null. Ends with the id after which
 * the next event is not kept.
 */
export async function* followKept(
  log: TurnLog,
  id: number,
  signal: AbortSignal,
): AsyncGenerator<TurnEvent[], number | null> {
  signal.addEventListener('abort', log.wake, { once: true });
  try {
    for (let at = id; !signal.aborted;) {
      const events = log.after(at);
      if (events === null) return at;
      at = events.at(-1)?.id ?? at;
      if (events.length > 0) yield events;
      if (log.ended && at >= log.lastId) return null;
      if (at >= log.lastId && !signal.aborted) await log.next();
    }
    return null;
  } finally {
    signal.removeEventListener('abort', log.wake);
  }
}

/**
 * `followKept` for a reader that begins again where its next event is not kept. Returns null, or the id after which it has to
 * go on with what is stored.
 */
export async function* followLog(
  log: TurnLog,
  id: number,
  signal: AbortSignal,
  stored: StoredText,
): AsyncGenerator<Told, number | null> {
  for (let at = id; ;) {
    const gone = yield* followKept(log, at, signal);
    const pieces = gone === null ? null : log.restart(stored);
    if (pieces === null) return gone;
    at = pieces.id;
    yield [RESET];
    yield pieces;
  }
}

function costOf(event: TurnEvent | undefined): number {
  return (event?.payload.length ?? 0) + EVENT_COST;
}
