import { RE2JS } from 're2js';
import { withinMs } from '../../../platform/threads/index.js';

/** Milliseconds that compiling a pattern may take: its size is known only once it is compiled. */
const COMPILE_MS = 500;
/** Matching is linear in the line and in the compiled pattern: this bounds one line. */
const MAX_PROGRAM = 1_100;

/** A pattern of a model, in RE2 syntax. */
export interface Pattern {
  source: string;
  caseSensitive: boolean;
}

/** Where lines match: the number of the line in its batch, and where in it the first match begins. */
export interface LineMatch {
  line: number;
  start: number;
}

/** Of this thread; searches send one pattern with many batches of lines. */
let last: { key: string; pattern: RE2JS } | undefined;

/** Why the pattern cannot be searched for, as a sentence; null when it can. */
export function refuse(pattern: Pattern): string | null {
  try {
    return withinMs(COMPILE_MS, () => compiled(pattern).programSize()) > MAX_PROGRAM ? TOO_LARGE : null;
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return TOO_LARGE;
    return `The pattern is not valid: ${error instanceof Error ? error.message : 'unreadable'}`;
  }
}
const TOO_LARGE = 'The pattern is too large; use fewer or smaller repetitions.';

/** The lines that match `pattern`, which was not refused, up to `most`. */
export function matching({ pattern, lines, most }: { pattern: Pattern; lines: string[]; most: number }): LineMatch[] {
  const re = compiled(pattern);
  const found: LineMatch[] = [];
  for (const [line, text] of lines.entries()) {
    if (!re.test(text)) continue;
    const matcher = re.matcher(text.trim());
    found.push({ line, start: matcher.find() ? matcher.start() : 0 });
    if (found.length >= most) break;
  }
  return found;
}

function compiled({ source, caseSensitive }: Pattern): RE2JS {
  const key = `${caseSensitive}:${source}`;
  if (last?.key !== key) last = { key, pattern: RE2JS.compile(source, caseSensitive ? 0 : RE2JS.CASE_INSENSITIVE) };
  return last.pattern;
}
