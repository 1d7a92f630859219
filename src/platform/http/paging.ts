import type { FastifyReply } from 'fastify';
import { DomainError } from '../errors/index.js';
import type { PageQueryDto } from './page-query.dto.js';
import { isUuid } from './uuid-param.js';

const LONGEST_LISTED_TEXT = 2_000;
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

/**
 * The page that `query` asks for.
 * @throws DomainError `validation_failed` for a cursor that is not one of ours.
 */
export function pageRequest(query: PageQueryDto): PageRequest {
  const limit = query.limit ?? 50;
  if (query.cursor === undefined) return { limit, offset: query.offset ?? 0, after: null };
  return { limit, offset: 0, after: decodeCursor(query.cursor) };
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

/** Points to the page after this one with a `Link` header that keeps the caller's other query parameters. */
export function linkNext(reply: FastifyReply, next: Cursor | null): void {
  if (next === null) return;
  const url = new URL(reply.request.url, 'http://localhost');
  url.searchParams.delete('offset');
  url.searchParams.set('cursor', encodeCursor(next));
  void reply.header('link', `<${url.pathname}${url.search}>; rel="next"`);
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

/**
 * `item` as lists show it: texts and lists of texts among `fields` that are longer than 2 000 characters are cut and named
 * in `truncated`.
 */
export function cutForList<T extends object>(
  item: T,
  fields: readonly (keyof T & string)[],
): T & { truncated: string[] } {
  const shown = { ...item, truncated: [] as string[] };
  for (const field of fields) {
    const whole: unknown = item[field];
    const cut = typeof whole === 'string' ? cutText(whole) : Array.isArray(whole) ? cutTexts(whole) : whole;
    if (cut === whole) continue;
    Object.assign(shown, { [field]: cut });
    shown.truncated.push(field);
  }
  return shown;
}

function cutText(text: string, most = LONGEST_LISTED_TEXT): string {
  return text.length <= most ? text : text.slice(0, most).replace(/[\ud800-\udbff]$/, '');
}

/** The first of `texts` that have room together; the same array when all have. */
function cutTexts(texts: readonly unknown[]): readonly unknown[] {
  let left = LONGEST_LISTED_TEXT;
  const shown: unknown[] = [];
  for (const text of texts) {
    if (typeof text !== 'string') return texts;
    if (left <= 0) return shown;
    shown.push(cutText(text, left));
    if (text.length > left) return shown;
    left -= text.length;
  }
  return texts;
}
