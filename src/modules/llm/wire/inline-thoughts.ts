/** How models without a parser of their server's mark their thoughts, each with what ends them. */
const MARKS: readonly (readonly [string, string])[] = [
  ['<think>', '</think>'],
  ['<thought>', '</thought>'],
  ['<seed:think>', '</seed:think>'],
  ['[THINK]', '[/THINK]'],
  ['◁think▷', '◁/think▷'],
  ['<|begin_of_thought|>', '<|end_of_thought|>'],
  ['<|channel|>analysis<|message|>', '<|channel|>final<|message|>'],
];
/** Characters, blanks included, that are kept back until it is known whether they begin thoughts. */
const MOST_HELD = 1_000;

/** A piece of an answer: said, or only thought. */
export interface SaidOrThought {
  thought: boolean;
  text: string;
}

/**
 * Tells thoughts at the very start of an answer from the answer. Elsewhere such marks are text: somebody may have asked for
 * them. Blank lines between thoughts and answer belong to neither.
 */
export class InlineThoughts {
  private state: 'undecided' | 'thinking' | 'before the answer' | 'answering' = 'undecided';
  private held = '';
  private closing = '';
  /** The thoughts with their marks, as they came; empty when there are none. */
  raw = '';

  /** The pieces that `text`, the next of the answer, makes known. */
  take(text: string): SaidOrThought[] {
    this.held += text;
    if (this.state === 'undecided') this.decide();
    const thought = this.state === 'thinking' ? this.think() : [];
    if (this.state === 'before the answer') {
      this.held = this.held.trimStart();
      if (this.held !== '') this.state = 'answering';
    }
    return this.state === 'answering' ? [...thought, ...this.release(false)] : thought;
  }

  /** The rest, at the answer's end. `isAnswered` says that something else than text was answered. */
  end(isAnswered: boolean): SaidOrThought[] {
    if (this.state !== 'thinking') return this.release(false);
    this.raw += this.held;
    const thought = this.release(true);
    if (isAnswered) return thought;
    // Thoughts without an end may be all that was said.
    const said = this.raw;
    this.raw = '';
    return [...thought, { thought: false, text: said }];
  }

  private decide(): void {
    const start = this.held.replace(/^[\s\uFEFF]+/, '');
    const mark = MARKS.find(([opening]) => start.startsWith(opening));
    if (mark) {
      [this.raw, this.closing] = mark;
      this.held = start.slice(mark[0].length);
      this.state = 'thinking';
      return;
    }
    const mayBecome = this.held.length < MOST_HELD && MARKS.some(([opening]) => opening.startsWith(start));
    if (!mayBecome) this.state = 'answering';
  }

  private think(): SaidOrThought[] {
    const end = this.held.indexOf(this.closing);
    // The mark that ends the thoughts may be cut by a chunk border.
    const length = end < 0 ? this.held.length - this.closing.length + 1 : end;
    const text = this.held.slice(0, Math.max(0, length));
    this.raw += text;
    this.held = this.held.slice(text.length);
    if (end >= 0) {
      this.raw += this.closing;
      this.held = this.held.slice(this.closing.length);
      this.state = 'before the answer';
    }
    return text === '' ? [] : [{ thought: true, text }];
  }

  private release(thought: boolean): SaidOrThought[] {
    const text = this.held;
    this.held = '';
    return text === '' ? [] : [{ thought, text }];
  }
}
