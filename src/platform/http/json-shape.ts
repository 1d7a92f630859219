import { DomainError } from '../errors/index.js';

const MOST_VALUES = 50_000;
const DEEPEST = 64;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const SPACE = 0x20;

/**
 * Refuses JSON of more than 50 000 values or 64 levels by its bytes alone: reading them costs a small part of what parsing
 * costs and takes no memory. Says nothing of text that is no JSON.
 * @throws DomainError `validation_failed`.
 */
export function refuseVastJson(bytes: Uint8Array): void {
  let values = 1;
  let depth = 0;
  // Whether the innermost open container has shown nothing yet: its first value has no comma before it.
  let empty = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] as number;
    if (byte <= SPACE) continue;
    if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
      depth -= 1;
      empty = false;
      continue;
    }
    if (empty || byte === COMMA) values += 1;
    empty = byte === OPEN_LIST || byte === OPEN_OBJECT;
    if (empty) depth += 1;
    if (values > MOST_VALUES) throw DomainError.invalid('#', `The body holds more than ${MOST_VALUES} values.`);
    if (depth > DEEPEST) throw DomainError.invalid('#', `The body is nested more than ${DEEPEST} levels deep.`);
    if (byte === QUOTE) at = endOfText(bytes, at + 1);
  }
}

/** Where the text ends that begins at `from`. */
function endOfText(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(QUOTE, from); at !== -1; at = bytes.indexOf(QUOTE, at + 1)) {
    let escapes = 0;
    while (at - escapes > from && bytes[at - escapes - 1] === BACKSLASH) escapes += 1;
    if (escapes % 2 === 0) return at;
  }
  return bytes.length;
}
