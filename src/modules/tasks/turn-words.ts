/** Characters of one piece. */
const PIECE = 32_768;
/** Characters that are sent at a time: what waits for a reader that takes nothing is at least this. */
const PART = 8_192;

/** A text that grows, in pieces that all who read it share. */
export class TurnWords {
  private readonly whole: string[] = [];
  private last: string[] = [];
  private lastLength = 0;

  get text(): string {
    return [...this.whole, ...this.last].join('');
  }

  add(text: string): void {
    this.last.push(text);
    this.lastLength += text.length;
    if (this.lastLength < PIECE) return;
    this.whole.push(this.last.join(''));
    this.last = [];
    this.lastLength = 0;
  }

  /** The text as it is now, whatever is added while it is read. */
  pieces(): Iterable<string> {
    const count = this.whole.length;
    const rest = this.last.join('');
    const { whole } = this;
    return {
      *[Symbol.iterator]() {
        for (let index = 0; index < count; index += 1) yield whole[index] ?? '';
        yield rest;
      },
    };
  }
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
