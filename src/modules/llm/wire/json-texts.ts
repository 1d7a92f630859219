import { repairedJson } from './json-repair.js';

const OPEN = '{';
/** What may stand between two values of a body: blanks, commas, and the marks of a stream of events. */
const BETWEEN = /^(?:[\s\uFEFF,]|data:|\[DONE\])*/;

/** The objects that `body` is a row of, one a line or one behind the other, each as it was written; null when it is none. */
export function objectTexts(body: string): string[] | null {
  const texts: string[] = [];
  for (let at = 0; ;) {
    at += BETWEEN.exec(body.slice(at, at + 1_000))?.[0].length ?? 0;
    if (at >= body.length) return texts.length > 0 ? texts : null;
    if (body[at] !== OPEN) return null;
    const end = endOfValue(body, at);
    if (end === null) return null;
    texts.push(body.slice(at, end));
    at = end;
  }
}

/**
 * The text of the value at `path` in `json`, as it was written; null where there is none. Of a key that is given twice the
 * last value counts, as it does for `JSON.parse`. `json` is valid.
 */
export function textAt(json: string, path: readonly (string | number)[]): string | null {
  const [step, ...rest] = path;
  const start = skipBlanks(json, 0);
  if (step === undefined) return json.slice(start, endOfValue(json, start) ?? json.length).trim();
  let found: string | null = null;
  let index = 0;
  const opening = json[start];
  if (opening !== (typeof step === 'string' ? OPEN : '[')) return null;
  for (let at = skipBlanks(json, start + 1); at < json.length && json[at] !== '}' && json[at] !== ']'; index += 1) {
    let key: string | number = index;
    if (opening === OPEN) {
      const end = endOfString(json, at);
      key = JSON.parse(repairedJson(json.slice(at, end))) as string;
      at = skipBlanks(json, skipBlanks(json, end) + 1);
    }
    const end = endOfValue(json, at);
    if (end === null) return null;
    if (key === step) found = json.slice(at, end);
    at = skipBlanks(json, end);
    if (json[at] === ',') at = skipBlanks(json, at + 1);
  }
  return found === null ? null : textAt(found, rest);
}

function skipBlanks(json: string, from: number): number {
  let at = from;
  while (at < json.length && /\s/.test(json.charAt(at))) at += 1;
  return at;
}

function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (at < json.length && json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
  return at + 1;
}

/** Where the value that begins at `start` ends; null when it does not. */
function endOfValue(json: string, start: number): number | null {
  const first = json[start];
  if (first === '"') return endOfString(json, start);
  if (first !== OPEN && first !== '[') {
    let at = start;
    while (at < json.length && !/[\s,\]}]/.test(json.charAt(at))) at += 1;
    return at;
  }
  let depth = 0;
  for (let at = start; at < json.length; at += 1) {
    const character = json[at];
    if (character === '"') at = endOfString(json, at) - 1;
    else if (character === OPEN || character === '[') depth += 1;
    else if (character === '}' || character === ']') {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return null;
}
