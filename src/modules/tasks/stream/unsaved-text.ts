import { codePointsOf } from './turn-text.js';

/** A place in what a turn has said: JavaScript counts characters, PostgreSQL code points. */
export interface Mark {
  readonly characters: number;
  readonly codePoints: number;
}

/** Unstored text, the number of code points before it, and the mark that ends it. */
export interface NewText {
  readonly said: string;
  readonly after: number;
  readonly end: Mark;
}

/** Text of a turn since its last checkpoint, so that each checkpoint carries only what is new. */
export class UnsavedText {
  private stored: Mark = { characters: 0, codePoints: 0 };

  /** @param wordsFrom what the turn has said from a character on, without lone surrogates */
  constructor(private readonly wordsFrom: (character: number) => string) {}

  read(): NewText {
    const { characters, codePoints } = this.stored;
    const said = this.wordsFrom(characters);
    const end = { characters: characters + said.length, codePoints: codePoints + codePointsOf(said) };
    return { said, after: codePoints, end };
  }

  /** Everything up to `end` is stored. Checkpoints may be confirmed in any order. */
  confirm(end: Mark): void {
    if (end.characters > this.stored.characters) this.stored = end;
  }
}
