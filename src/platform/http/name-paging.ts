import { isUtf8 } from 'node:buffer';
import type { FastifyReply } from 'fastify';
import { isStorableText } from '../database/index.js';
import { DomainError } from '../errors/index.js';
import type { PageQueryDto } from './page-query.dto.js';
import { linkTo } from './paging.js';

/** One page of a list in the order of unique names, in which a page's end is a name. */
export interface NamePage {
  readonly limit: number;
  readonly offset: number;
  /** Set when the page continues another one; `offset` is 0 then. */
  readonly afterName: string | null;
}

/**
 * The page that `query` asks for; `isName` knows the names that the list may hold.
 * @throws DomainError `validation_failed` for a cursor that is not one of ours.
 */
export function namePage(
  query: Pick<PageQueryDto, 'limit' | 'offset' | 'cursor'>,
  isName: (name: string) => boolean = () => true,
): NamePage {
  const limit = query.limit ?? 50;
  if (query.cursor === undefined) return { limit, offset: query.offset ?? 0, afterName: null };
  const bytes = Buffer.from(query.cursor, 'base64url');
  const afterName = bytes.toString('utf8');
  if (bytes.length === 0 || !isUtf8(bytes) || !isStorableText(afterName) || !isName(afterName)) {
    throw DomainError.invalid('#/query/cursor', 'The cursor is not one that this list has given.');
  }
  return { limit, offset: 0, afterName };
}

/** Points to the page after `name`. */
export function linkAfterName(reply: FastifyReply, name: string): void {
  linkTo(reply, { cursor: Buffer.from(name).toString('base64url') });
}
