/** Characters of one piece. */
const PIECE = 32_768;
/** Characters that are sent at a time: what waits for a reader that takes nothing is at least this. */
const PART = 8_192;

/** A text that grows. Readers who take it at about the same time share the bytes of its JSON. */
export class TurnWords {
  private readonly whole: Piece[] = [];
  private last: string[] = [];
  private lastLength = 0;

  get text(): string {
    return [...this.whole.map(({ text }) => text), ...this.last].join('');
  }

  add(text: string): void {
    this.last.push(text);
    this.lastLength += text.length;
    if (this.lastLength < PIECE) return;
    this.whole.push(new Piece(this.last.join('')));
    this.last = [];
    this.lastLength = 0;
  }

  /** The text as it is now, whatever is added while it is read, as text or as the bytes of its JSON. */
  pieces(): Iterable<string | Buffer> {
    const count = this.whole.length;
    const rest = this.last.join('');
    const { whole } = this;
    return {
      *[Symbol.iterator]() {
        for (const piece of whole.slice(0, count)) yield piece.json;
        yield rest;
      },
    };
  }
}

class Piece {
  /** The bytes are six times the text at worst, and most texts are read by nobody who comes late. */
  private bytes: WeakRef<Buffer> | null = null;

  constructor(readonly text: string) {}

  get json(): Buffer {
    const shared = this.bytes?.deref();
    if (shared !== undefined) return shared;
    const bytes = Buffer.from(inJson(this.text));
    this.bytes = new WeakRef(bytes);
    return bytes;
  }
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
