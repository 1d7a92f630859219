/** Where a passage stands in a text, and how the text writes what the passage writes. */
interface Place {
  start: number;
  end: number;
}

const LINES = /\r\n|\n|[^\r\n]+|\r/g;
const SPACES = ' \\t\\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000';
/** Characters that nobody sees: soft hyphens, zero-width spaces and joiners, byte order marks. */
const UNSEEN = '\\u00ad\\u200b-\\u200d\\u2060\\ufeff';
/** Characters written as several, each of which may also be written as one: letters with their accents, and Hangul by its parts. */
const COMPOSED = `[^\\r\\n${SPACES}${UNSEEN}\\p{M}]\\p{M}+|[\\u1100-\\u1112][\\u1161-\\u1175][\\u11a8-\\u11c2]?`;
/** Lines, with runs of what looks like a space, of what is not seen, and of what may be composed, for themselves. */
const WORDS = new RegExp(
  `\\r\\n|\\n|\\r|[${SPACES}]+|[${UNSEEN}]+|${COMPOSED}|(?:(?!${COMPOSED})[^\\r\\n${SPACES}${UNSEEN}])+`,
  'gu',
);
const SPACE = new RegExp(`^[${SPACES}]`);
const IS_UNSEEN = new RegExp(`^[${UNSEEN}]`);

/** What came of an edit: the text after it, or why there is none. `present` says that the new text stands there already. */
export type Edit = { text: string } | { refused: 'never' | 'often' | 'present' };

/**
 * `text` with the one passage that reads as `before` replaced by `after`. What a model reads is not all that stands there:
 * line ends are matched by how they read and, where nothing matches so, tabs, unusual spaces and those at the ends of lines,
 * characters that are not seen, and accents that stand for themselves.
 * The text keeps its own kinds of both, in what stays and in what comes. An edit that is repeated is refused.
 */
export function editPassage(text: string, before: string, after: string): Edit {
  // Only the line ends are to change, so they are what is looked for.
  if (onlyLf(before) === onlyLf(after))
    return place(
      text,
      (at) => at,
      text,
      before,
      after,
      () => after,
    );
  if (text.includes('\r') && !text.includes('\n')) {
    // Lines that end with CR alone.
    const edit = editPassage(onlyLf(text), onlyLf(before), onlyLf(after));
    return 'refused' in edit ? edit : { text: edit.text.replaceAll('\n', '\r') };
  }
  const [old, fresh] = [oneLineEnd(before), oneLineEnd(after)];
  const ends = lineEnds(text);
  const lines = viewOf(text, false);
  const exact = place(lines.shown, lines.at, text, old, fresh, ({ start }) => withLineEnds(after, ends.near(start)));
  // A deletion leaves nothing by which its repeat could be told from another passage that reads the same.
  if (!('refused' in exact) || exact.refused !== 'never' || fresh === '') return exact;
  const [loose, oldLoose, freshLoose] = [viewOf(text, true), viewOf(old, true).shown, viewOf(fresh, true).shown];
  if (oldLoose.trim() === '' || oldLoose === freshLoose) return exact;
  return place(loose.shown, loose.at, text, oldLoose, freshLoose, ({ start, end }) =>
    withLineEnds(inItsOwnSpaces(text.slice(start, end), old, fresh), ends.near(start)),
  );
}

/** Replaces in `text` what `before` is in `view`, whose characters stand `at` there. */
function place(
  view: string,
  at: (index: number) => number,
  text: string,
  before: string,
  after: string,
  written: (place: Place) => string,
): Edit {
  const first = view.indexOf(before);
  if (first === -1) return { refused: after !== '' && view.includes(after) ? 'present' : 'never' };
  if (view.includes(before, first + 1)) return { refused: 'often' };
  const within = after.indexOf(before);
  if (within !== -1 && view.startsWith(after, first - within)) return { refused: 'present' };
  const found = { start: at(first), end: at(first + before.length) };
  return { text: text.slice(0, found.start) + written(found) + text.slice(found.end) };
}

interface View {
  shown: string;
  /** Where in the text a character of the view begins, or where the text ends. */
  readonly at: (index: number) => number;
}

/**
 * `text` with LF for each CRLF; `loosely`, one space for each run of what looks like spaces, and none at a line's end, composed
 * characters, and none that is not seen.
 */
function viewOf(text: string, loosely: boolean): View {
  const at = new Uint32Array(text.length + 1);
  const parts: string[] = [];
  let length = 0;
  for (const { 0: piece, index } of text.matchAll(loosely ? WORDS : LINES)) {
    const isSpace = loosely && SPACE.test(piece);
    const next = text[index + piece.length];
    if (isSpace && (next === undefined || next === '\r' || next === '\n')) continue;
    if (loosely && IS_UNSEEN.test(piece)) continue;
    const shown = isSpace ? ' ' : piece === '\r\n' ? '\n' : loosely ? composed(piece) : piece;
    const isWhole = shown.length < piece.length;
    for (let i = 0; i < shown.length; i += 1) at[length + i] = isWhole ? index : index + i;
    parts.push(shown);
    length += shown.length;
  }
  at[length] = text.length;
  return { shown: parts.join(''), at: (index) => at[index] ?? text.length };
}

/** `piece` with its characters composed, where that makes it no longer. */
function composed(piece: string): string {
  const one = piece.normalize('NFC');
  return one.length <= piece.length ? one : piece;
}

/**
 * `after` written as `present` is: the lines that it has in common with `before`, at both ends, as they stand in `present`,
 * and the others indented by tabs where those are.
 */
function inItsOwnSpaces(present: string, before: string, after: string): string {
  const [theirs, olds, news] = [present, before, after].map((text) => text.split(/\r\n|\n/)) as [
    string[],
    string[],
    string[],
  ];
  if (theirs.length !== olds.length) return after;
  let head = 0;
  while (head < olds.length && head < news.length && olds[head] === news[head]) head += 1;
  let tail = 0;
  while (tail < Math.min(olds.length, news.length) - head && olds.at(-1 - tail) === news.at(-1 - tail)) tail += 1;
  const reindent = indentation(theirs, olds);
  const middle = news.slice(head, news.length - tail).map((line, index) => {
    const [old, own] = [olds[head + index], theirs[head + index]];
    // A line that only changed behind its indentation keeps the one it has.
    if (
      old !== undefined &&
      own !== undefined &&
      head + index < olds.length - tail &&
      indentOf(old) === indentOf(line)
    ) {
      return sameWords(own, old, line);
    }
    return reindent(line);
  });
  return [...theirs.slice(0, head), ...middle, ...(tail === 0 ? [] : theirs.slice(-tail))].join('\n');
}

/** `line` with what it shares with `old` at both ends written as in `own`, when both have as many characters. */
function sameWords(own: string, old: string, line: string): string {
  const indented = indentOf(own) + line.slice(indentOf(line).length);
  if (own.length !== old.length) return indented;
  let head = 0;
  while (head < old.length && head < line.length && old[head] === line[head]) head += 1;
  let tail = 0;
  while (tail < Math.min(old.length, line.length) - head && old.at(-1 - tail) === line.at(-1 - tail)) tail += 1;
  return own.slice(0, head) + line.slice(head, line.length - tail) + (tail === 0 ? '' : own.slice(-tail));
}

/** How lines indented as `olds` are to be indented where these stand as `theirs`. */
function indentation(theirs: readonly string[], olds: readonly string[]): (line: string) => string {
  for (const [index, own] of theirs.entries()) {
    const [has, wrote] = [indentOf(own), indentOf(olds[index] ?? '')];
    if (has === wrote || has === '' || wrote === '') continue;
    if (/^\t+$/.test(has) && /^ +$/.test(wrote) && wrote.length % has.length === 0) {
      const width = wrote.length / has.length;
      return (line) => {
        const spaces = /^ */.exec(line)?.[0].length ?? 0;
        return '\t'.repeat(Math.floor(spaces / width)) + line.slice(spaces - (spaces % width));
      };
    }
    if (/^ +$/.test(has) && /^\t+$/.test(wrote) && has.length % wrote.length === 0) {
      const unit = ' '.repeat(has.length / wrote.length);
      return (line) => line.replace(/^\t+/, (tabs) => unit.repeat(tabs.length));
    }
  }
  return (line) => line;
}

function indentOf(line: string): string {
  return /^\s*/.exec(line)?.[0] ?? '';
}

function oneLineEnd(text: string): string {
  return text.replaceAll('\r\n', '\n');
}

function onlyLf(text: string): string {
  return text.replace(/\r\n|\r/g, '\n');
}

function withLineEnds(text: string, end: string): string {
  return text.replace(/\r\n|\n/g, end);
}

/** The line ends of `text`: at a place, that of its line, else the one before it. */
function lineEnds(text: string): { near(index: number): string } {
  return {
    near: (index) => {
      const next = text.indexOf('\n', index);
      const end = next === -1 ? text.lastIndexOf('\n', index) : next;
      if (end === -1) return text.includes('\r') && !text.includes('\n') ? '\r' : '\n';
      return text[end - 1] === '\r' ? '\r\n' : '\n';
    },
  };
}
