/** Characters that are sent at a time: what waits for a reader that takes nothing is at least this. */
const PART = 8_192;

/** Reads the stored text of an ended turn from one code point to another. Throws when not all of it is stored. */
export type StoredText = (from: number, to: number) => AsyncIterable<string>;

/**
 * A text that grows. Readers who take it at about the same time share the bytes of its JSON. None of them keeps it alive: of
 * a text that was let go they take the rest from where it is stored.
 */
export class TurnText {
  private readonly whole: Piece[] = [];
  private last: string[] = [];
  private lastLength = 0;

  /** The text from a character on. */
  from(character: number): string {
    const parts: string[] = [];
    let skip = character;
    for (const text of [...this.whole.map((piece) => piece.text), ...this.last]) {
      if (skip < text.length) parts.push(text.slice(skip));
      skip = Math.max(0, skip - text.length);
    }
    return parts.join('');
  }

  /** @param text with no lone surrogates */
  add(text: string): void {
    this.last.push(text);
    this.lastLength += text.length;
    if (this.lastLength < PART) return;
    this.whole.push(new Piece(this.last.join('')));
    this.last = [];
    this.lastLength = 0;
  }

  /** The text as it is now, whatever is added while it is read, as text or as the bytes of its JSON. */
  pieces(stored: StoredText): AsyncIterable<string | Buffer> {
    const { whole, last } = this;
    const codePoints = whole.reduce((sum, piece) => sum + piece.codePoints, codePointsOf(last.join('')));
    return this.read(whole.length, last, last.length, (from) => stored(from, codePoints));
  }

  /** Forgets the text, which is stored by now if it ever will be. */
  release(): void {
    this.whole.length = 0;
  }

  private async *read(
    pieces: number,
    last: readonly string[],
    parts: number,
    storedFrom: (codePoint: number) => AsyncIterable<string>,
  ): AsyncGenerator<string | Buffer, void> {
    let read = 0;
    for (let index = 0; index < pieces; index += 1) {
      const piece = this.whole[index];
      if (piece === undefined) return yield* storedFrom(read);
      yield piece.json;
      read += piece.codePoints;
    }
    yield last.slice(0, parts).join('');
  }
}

class Piece {
  readonly codePoints: number;
  /** The bytes are six times the text at worst, and most texts are read by nobody who comes late. */
  private bytes: WeakRef<Buffer> | null = null;

  constructor(readonly text: string) {
    this.codePoints = codePointsOf(text);
  }

  get json(): Buffer {
    const shared = this.bytes?.deref();
    if (shared !== undefined) return shared;
    const bytes = Buffer.from(inJson(this.text));
    this.bytes = new WeakRef(bytes);
    return bytes;
  }
}

/** How many characters PostgreSQL counts in `text`. */
export function codePointsOf(text: string): number {
  let count = text.length;
  for (let at = 0; at < text.length; at += 1) if ((text.charCodeAt(at) & 0xfc00) === 0xd800) count -= 1;
  return count;
}

/** `text` as it stands between the quotes of a JSON string. */
export function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** `text` in parts that are short enough for any reader; no character is cut in two. */
export function* partsOf(text: string): Generator<string, void> {
  for (let at = 0; at < text.length;) {
    const last = text.charCodeAt(at + PART - 1);
    const end = at + PART - (last >= 0xd800 && last <= 0xdbff ? 1 : 0);
    yield text.slice(at, end);
    at = end;
  }
}
