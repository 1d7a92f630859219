/** A place in what a turn has said: JavaScript counts characters, PostgreSQL code points. */
export interface Mark {
  readonly characters: number;
  readonly codePoints: number;
}

/** What a turn has said since its last checkpoint, so that each checkpoint carries only what is new. */
export class UnstoredWords {
  private parts: string[] = [];
  private stored: Mark = { characters: 0, codePoints: 0 };

  /** @param text with no lone surrogates */
  add(text: string): void {
    this.parts.push(text);
  }

  /** All that is not stored, the code points that come before it, and the mark that ends it. */
  read(): { said: string; after: number; end: Mark } {
    const said = this.parts.join('');
    this.parts = [said];
    const { characters, codePoints } = this.stored;
    const end = { characters: characters + said.length, codePoints: codePoints + codePointsOf(said) };
    return { said, after: codePoints, end };
  }

  /** Everything up to `end` is stored. Checkpoints may be confirmed in any order. */
  confirm(end: Mark): void {
    const count = end.characters - this.stored.characters;
    if (count <= 0) return;
    this.parts = [this.parts.join('').slice(count)];
    this.stored = end;
  }
}

function codePointsOf(text: string): number {
  let count = text.length;
  for (const _ of text.matchAll(/[\ud800-\udbff]/g)) count -= 1;
  return count;
}
