const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/** Knows whether the pieces of a JSON object are all there, at a cost that grows with their length only. */
export class JsonExtent {
  private depth = 0;
  private inText = false;
  private isEscaped = false;
  /** Whether an object has begun and ended. */
  isWhole = false;

  add(piece: string): void {
    for (let at = 0; at < piece.length; at += 1) {
      const code = piece.charCodeAt(at);
      if (this.isEscaped) this.isEscaped = false;
      else if (this.inText) {
        if (code === BACKSLASH) this.isEscaped = true;
        else if (code === QUOTE) this.inText = false;
      } else if (code === QUOTE) this.inText = true;
      else if (code === OPEN) this.depth += 1;
      else if (code === CLOSE) {
        this.depth -= 1;
        if (this.depth === 0) this.isWhole = true;
      }
    }
  }
}
