/** Characters of one piece. */
const PIECE = 32_768;
/** Characters that are sent at a time: what waits for a reader that takes nothing is at least this. */
const PART = 8_192;

/** A text that grows, as bytes of JSON that all who read it share. */
export class TurnWords {
  private readonly whole: Buffer[] = [];
  private last: string[] = [];
  private lastLength = 0;
  length = 0;

  get text(): string {
    const whole = this.whole.map((piece) => JSON.parse(`"${piece.toString()}"`) as string);
    return [...whole, ...this.last].join('');
  }

  add(text: string): void {
    this.last.push(text);
    this.lastLength += text.length;
    this.length += text.length;
    if (this.lastLength < PIECE) return;
    this.whole.push(inJson(this.last.join('')));
    this.last = [];
    this.lastLength = 0;
  }

  /** The text as it is now, whatever is added while it is read. */
  pieces(): Iterable<string | Buffer> {
    const count = this.whole.length;
    const rest = this.last.join('');
    const { whole } = this;
    return {
      *[Symbol.iterator]() {
        for (let index = 0; index < count; index += 1) yield whole[index] ?? '';
        if (rest !== '') yield rest;
      },
    };
  }
}

/** `text` as it stands between the quotes of a JSON string. */
export function inJson(text: string): Buffer {
  return Buffer.from(JSON.stringify(text).slice(1, -1));
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
