import { closingMark, LONGEST_CLOSING, THOUGHT_MARKS } from './leaked-thoughts.js';

/** How models without a parser of their server's mark their thoughts, in any case, each with what ends them. */
const MARKS: readonly (readonly [string, string])[] = [
  ...THOUGHT_MARKS,
  ['<|channel|>analysis<|message|>', '<|channel|>final<|message|>'],
  ['<|start|>assistant<|channel|>analysis<|message|>', '<|channel|>final<|message|>'],
];
/** What chat templates write before an answer; it is no part of it. */
const BEGINNINGS = [
  '<|channel|>final<|message|>',
  '<|start|>assistant<|channel|>final<|message|>',
  '<|im_start|>assistant\n',
  '<|start_header_id|>assistant<|end_header_id|>',
  '<start_of_turn>model\n',
  '<|assistant|>',
  '<｜assistant｜>',
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
  private state: 'undecided' | 'thinking' | 'waiting' | 'answering' = 'undecided';
  private held = '';
  private hasBegun = false;
  private closing: RegExp = /$/;
  private closingLength = 0;
  /** The thoughts with their marks, as they came; empty when there are none. */
  raw = '';

  /** Whether thoughts came of which only the end was marked. */
  hasWaited = false;

  /** `waits` says that the answer may begin with thoughts of which only the end is marked. */
  constructor(private waits = false) {}

  /** The thoughts came elsewhere, so that the text holds none of which only the end is marked. */
  waitNoLonger(): void {
    this.waits = false;
    if (this.state === 'waiting') this.state = 'answering';
  }

  /** The pieces that `text`, the next of the answer, makes known. */
  take(text: string): SaidOrThought[] {
    this.held += text;
    const pieces: SaidOrThought[] = [];
    for (let goesOn = true; goesOn;) {
      if (this.state === 'undecided') this.decide();
      const { state } = this;
      if (state === 'thinking') pieces.push(...this.think());
      if (state === 'waiting') pieces.push(...this.wait(text.length));
      goesOn = this.state !== state;
    }
    if (this.state === 'answering') pieces.push(...this.release(false));
    return pieces;
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
    if (this.raw !== '') this.held = start;
    const startsWith = (token: string): boolean => start.slice(0, token.length).toLowerCase() === token;
    const mark = MARKS.find(([opening]) => startsWith(opening));
    const beginning = this.hasBegun ? undefined : BEGINNINGS.find(startsWith);
    if (beginning !== undefined && !mark) {
      this.hasBegun = true;
      this.held = start.slice(beginning.length);
      return this.decide();
    }
    if (mark) {
      const [opening, closing] = mark;
      this.closing = new RegExp(closing.replace(/[[\]|]/g, '\\$&'), 'i');
      this.closingLength = closing.length;
      this.raw += start.slice(0, opening.length);
      this.held = start.slice(opening.length);
      this.state = 'thinking';
      return;
    }
    const lower = start.toLowerCase();
    const openings = [...MARKS.map(([opening]) => opening), ...BEGINNINGS];
    const mayBecome = this.held.length < MOST_HELD && openings.some((opening) => opening.startsWith(lower));
    if (!mayBecome) this.state = this.waits && this.raw === '' ? 'waiting' : 'answering';
  }

  /** Takes the thoughts whose end the last `fresh` characters hold, if they do. */
  private wait(fresh: number): SaidOrThought[] {
    const found = closingMark(this.held, Math.max(0, this.held.length - fresh - LONGEST_CLOSING));
    if (!found) return [];
    if (!found.isLeak) {
      this.state = 'answering';
      return [];
    }
    const text = this.held.slice(0, found.start);
    this.hasWaited = true;
    this.raw = this.held.slice(0, found.end);
    this.held = this.held.slice(found.end);
    this.state = 'undecided';
    return [{ thought: true, text }];
  }

  /** Takes what was thought; more thoughts may follow those that end. */
  private think(): SaidOrThought[] {
    const end = this.held.search(this.closing);
    // The mark that ends the thoughts may be cut by a chunk border.
    const length = end < 0 ? this.held.length - this.closingLength + 1 : end;
    const text = this.held.slice(0, Math.max(0, length));
    this.raw += text;
    this.held = this.held.slice(text.length);
    if (end >= 0) {
      this.raw += this.held.slice(0, this.closingLength);
      this.held = this.held.slice(this.closingLength);
      this.state = 'undecided';
    }
    return text === '' ? [] : [{ thought: true, text }];
  }

  private release(thought: boolean): SaidOrThought[] {
    const text = this.held;
    this.held = '';
    return text === '' ? [] : [{ thought, text }];
  }
}
