import { DomainError } from '../errors/index.js';
import { isUuid } from './uuid.js';

/** Characters of a text that lists show. */
export const LONGEST_LISTED_TEXT = 2_000;

/** PostgreSQL has no year 0 and no offset of 16 hours and more. */
const TIMESTAMP = /^(?!0000)\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([+-](0\d|1[0-5])(:?\d{2})?|Z)$/;

/** Where a page ended, in the order `(at, id)`. `at` is PostgreSQL's own text of the timestamp: a Date would lose µs. */
export interface Cursor {
  readonly at: string;
  readonly id: string;
}

/** What a repository needs to read one page. It reads `limit + 1` rows, so that `pageOf` knows whether more follow. */
export interface PageRequest {
  readonly limit: number;
  readonly offset: number;
  /** Set when the page continues another one; `offset` is 0 then. */
  readonly after: Cursor | null;
}

/** One page of a list, and where the next one begins. */
export interface Page<T> {
  readonly items: T[];
  readonly next: Cursor | null;
}

/** The page made of `rows`, of which there are `limit + 1` when more follow. */
export function pageOf<Row, T>(
  rows: readonly Row[],
  limit: number,
  cursorOf: (row: Row) => Cursor,
  map: (row: Row) => T,
): Page<T> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return { items: shown.map(map), next: rows.length > limit && last !== undefined ? cursorOf(last) : null };
}

/** The opaque form of `cursor`. */
export function encodeCursor(cursor: Cursor): string {
  return Buffer.from(JSON.stringify([cursor.at, cursor.id])).toString('base64url');
}

/** @throws DomainError `validation_failed`. */
export function decodeCursor(text: string): Cursor {
  try {
    const [at, id] = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as unknown[];
    if (typeof at === 'string' && TIMESTAMP.test(at) && exists(at) && typeof id === 'string' && isUuid(id)) {
      return { at, id };
    }
  } catch {
    // Not JSON: refused below like everything else that is not ours.
  }
  throw DomainError.invalid('#/query/cursor', 'The cursor is not one that this list has given.');
}

/** Whether the moment exists: Date.parse takes the 31st of February, PostgreSQL does not. */
function exists(at: string): boolean {
  const day = at.slice(0, 10);
  return !Number.isNaN(Date.parse(isoOf(at))) && new Date(`${day}T00:00:00Z`).toISOString().startsWith(day);
}

/** PostgreSQL's text of a timestamp as Date.parse takes it: `T` between date and time, minutes in the offset. */
function isoOf(at: string): string {
  return at.replace(' ', 'T').replace(/([+-]\d{2})$/, '$1:00');
}
