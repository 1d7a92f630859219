import { isUtf8 } from 'node:buffer';
import type { FastifyReply } from 'fastify';
import { DomainError } from '../../platform/errors/index.js';
import { isStorableText } from '../../platform/database/index.js';
import type { PodPageDto } from './pod-page.dto.js';

/** Which pods a page holds. Pods are listed by name, so where a page ended is a name. */
export interface PodPage {
  readonly limit: number;
  readonly offset: number;
  /** Set when the page continues another one; `offset` is 0 then. */
  readonly afterName: string | null;
}

/** @throws DomainError validation_failed for a cursor that is not one of ours. */
export function podPageOf(query: PodPageDto): PodPage {
  const limit = query.limit ?? 50;
  if (query.cursor === undefined) return { limit, offset: query.offset ?? 0, afterName: null };
  const bytes = Buffer.from(query.cursor, 'base64url');
  const afterName = bytes.toString('utf8');
  if (bytes.length === 0 || !isUtf8(bytes) || !isStorableText(afterName)) {
    throw DomainError.invalid('#/query/cursor', 'The cursor is not one that this list has given.');
  }
  return { limit, offset: 0, afterName };
}

/** Points to the page after the pod `name` with a `Link` header that keeps the caller's other query parameters. */
export function linkAfter(reply: FastifyReply, name: string): void {
  const url = new URL(reply.request.url, 'http://localhost');
  url.searchParams.delete('offset');
  url.searchParams.set('cursor', Buffer.from(name).toString('base64url'));
  void reply.header('link', `<${url.pathname}${url.search}>; rel="next"`);
}
