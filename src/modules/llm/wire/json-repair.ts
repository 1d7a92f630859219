const SPACE = 0x20;
/** By the code of a control character. */
const ESCAPES = Array.from({ length: SPACE }, (_, code) => `\\u${code.toString(16).padStart(4, '0')}`);
const ESCAPE = /^\\(?:["\\/bfnrt]|u[0-9a-f]{4})/i;
const LONGEST_ESCAPE = 6;
/** Blanks that JSON does not know. */
const BLANK = /[\u00a0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]/;
const FIRST_BLANK = 0xa0;
const BARE_NUMBERS = ['NaN', '-Infinity', 'Infinity'];

/**
 * `text` with those slips of JSON set right that leave no doubt of what is meant, and that models and servers make: control
 * characters and backslashes that are not escaped in a string, a comma after the last item, blanks of other kinds, and numbers
 * that JSON does not have, which become null.
 */
export function repairedJson(text: string): string {
  const pieces: string[] = [];
  let from = 0;
  let isInString = false;
  /** The place among the pieces of a comma after which nothing but blanks has come. */
  let lastComma: number | null = null;
  const replace = (at: number, length: number, by: string): void => {
    pieces.push(text.slice(from, at), by);
    from = at + length;
  };
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at);
    const code = text.charCodeAt(at);
    if (isInString) {
      if (character === '"') isInString = false;
      else if (character === '\\') {
        if (ESCAPE.test(text.slice(at, at + LONGEST_ESCAPE))) at += 1;
        else replace(at, 1, text[at + 1] === "'" ? '' : '\\\\');
      } else if (code < SPACE) replace(at, 1, ESCAPES[code] ?? '');
      continue;
    }
    if (code <= SPACE) continue;
    if (code >= FIRST_BLANK && BLANK.test(character)) {
      replace(at, 1, ' ');
      continue;
    }
    if ((character === '}' || character === ']') && lastComma !== null) pieces[lastComma] = '';
    lastComma = null;
    if (character === '"') isInString = true;
    else if (character === ',') {
      replace(at, 1, ',');
      lastComma = pieces.length - 1;
    } else if (character === 'N' || character === 'I' || character === '-') {
      const number = BARE_NUMBERS.find((name) => text.startsWith(name, at));
      if (number === undefined) continue;
      replace(at, number.length, 'null');
      at += number.length - 1;
    }
  }
  return pieces.join('') + text.slice(from);
}
