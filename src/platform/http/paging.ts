import type { FastifyReply } from 'fastify';
import type { PageQueryDto } from './page-query.dto.js';
import { decodeCursor, encodeCursor, LONGEST_LISTED_TEXT, type Cursor, type PageRequest } from '../paging/index.js';

/**
 * The page that `query` asks for.
 * @throws DomainError `validation_failed` for a cursor that is not one of ours.
 */
export function pageRequest(query: PageQueryDto): PageRequest {
  const limit = query.limit ?? 50;
  if (query.cursor === undefined) return { limit, offset: query.offset ?? 0, after: null };
  return { limit, offset: 0, after: decodeCursor(query.cursor) };
}

/** Points to the page after this one. */
export function linkNext(reply: FastifyReply, next: Cursor | null): void {
  if (next !== null) linkTo(reply, { cursor: encodeCursor(next) });
}

/** A `Link` header to what comes next: the caller's own request with `change`, and without an offset. */
export function linkTo(reply: FastifyReply, change: Record<string, string>): void {
  const url = new URL(reply.request.url, 'http://localhost');
  url.searchParams.delete('offset');
  for (const [name, value] of Object.entries(change)) url.searchParams.set(name, value);
  void reply.header('link', `<${url.pathname}${url.search}>; rel="next"`);
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
