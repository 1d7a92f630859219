/** A JSON object, as endpoints send it: nothing of its content is known. */
export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A string that says something, or undefined. */
export function wordsOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}

const NUMBER = /^\+?\d{1,15}(\.\d+)?(e\d{1,2})?$/i;
const SEPARATED = /^\d{1,3}(,\d{3}){1,4}$/;

/** A number, also one that is written as text (`"12"`, `"1,200"`, `"1e3"`); undefined for anything else. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value !== 'string') return undefined;
  const digits = value.trim();
  if (SEPARATED.test(digits)) return Number(digits.replaceAll(',', ''));
  return NUMBER.test(digits) ? Number(digits) : undefined;
}

/**
 * The value of a JSON text; undefined when it is none. Control characters inside of its strings, and the `NaN` and
 * `Infinity` that some libraries write, are read as what they mean.
 */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    const repaired = withoutBareNumbers(withEscapes(text));
    if (repaired === text) return undefined;
    try {
      return JSON.parse(repaired) as unknown;
    } catch {
      return undefined;
    }
  }
}

const SPACE = 0x20;
/** By the code of a control character. */
const ESCAPES = Array.from({ length: SPACE }, (_, code) => `\\u${code.toString(16).padStart(4, '0')}`);
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** `text` with the control characters inside of its JSON strings escaped, which models and servers write as they are. */
export function withEscapes(text: string): string {
  const pieces: string[] = [];
  let from = 0;
  let isInString = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) isInString = !isInString;
    else if (isInString && code === BACKSLASH) at += 1;
    else if (isInString && code < SPACE) {
      pieces.push(text.slice(from, at), ESCAPES[code] ?? '');
      from = at + 1;
    }
  }
  return pieces.join('') + text.slice(from);
}

const STRING_OR_BARE = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\b(?:NaN|Infinity)\b/g;

/** `text` with null for every number that JSON does not have. */
function withoutBareNumbers(text: string): string {
  if (!/NaN|Infinity/.test(text)) return text;
  return text.replace(STRING_OR_BARE, (found) => (found.startsWith('"') ? found : 'null'));
}
