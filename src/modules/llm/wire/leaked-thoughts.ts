/** The marks around thoughts; where the opening one stood in the prompt, an answer holds the closing one alone. */
export const THOUGHT_MARKS: readonly (readonly [string, string])[] = [
  ['<think>', '</think>'],
  ['<thinking>', '</thinking>'],
  ['<thought>', '</thought>'],
  ['<seed:think>', '</seed:think>'],
  ['<mm:think>', '</mm:think>'],
  ['[think]', '[/think]'],
  ['◁think▷', '◁/think▷'],
  ['<|begin_of_thought|>', '<|end_of_thought|>'],
];
const CLOSING = new RegExp(THOUGHT_MARKS.map(([, closing]) => closing.replace(/[[\]|/]/g, '\\$&')).join('|'), 'i');
export const LONGEST_CLOSING = Math.max(...THOUGHT_MARKS.map(([, closing]) => closing.length));
/** Before a mark that somebody writes about. */
const QUOTE = /["'`“‘«(]$/;

/** A mark that ends thoughts, by where it starts and ends. `isLeak` says that what stands before it was thought. */
export interface ClosingMark {
  start: number;
  end: number;
  isLeak: boolean;
}

/**
 * The first mark in `text` that ends thoughts, looked for from `from` on. What stands before it was thought, where the chat template
 * wrote the mark that opens them; a mark that the text opens itself, quotes, or shows as code is text.
 */
export function closingMark(text: string, from = 0): ClosingMark | null {
  const found = CLOSING.exec(from === 0 ? text : text.slice(from));
  if (!found) return null;
  const start = from + found.index;
  const before = text.slice(0, start);
  const mark = found[0].toLowerCase();
  const opening = THOUGHT_MARKS.find(([, closing]) => closing === mark)?.[0] ?? mark;
  const isCode = ((before.match(/`/g)?.length ?? 0) & 1) === 1;
  const isLeak = !isCode && !QUOTE.test(before) && !before.toLowerCase().includes(opening);
  return { start, end: start + mark.length, isLeak };
}

/** Ids of models that think, some of which are served without a parser for it. */
const THINKERS = /(?:^|[^a-z])(?:r1|qwq|think(?:ing|er)?|reason(?:er|ing)?|magistral)(?:[^a-z]|$)|qwq|-r1/i;
const MOST_REMEMBERED = 1_000;

/**
 * Which models of an endpoint think aloud, without a mark at the beginning. Their words are kept back until the thoughts have
 * ended; those of a model of which nothing is known yet are so only where its name says that it thinks.
 */
export class ThinkingAloud {
  private readonly known = new Map<string, boolean>();

  isExpected(model: string): boolean {
    return this.known.get(model) ?? THINKERS.test(model);
  }

  /** What an answer has shown. A model that did so once may do so again. */
  learn(model: string, didLeak: boolean): void {
    if (this.known.size >= MOST_REMEMBERED) this.known.clear();
    this.known.set(model, didLeak || this.known.get(model) === true);
  }
}
