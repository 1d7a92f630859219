import { DomainError } from '../errors/index.js';

/** Bytes from `start` to before `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * The one range that a `Range` header asks for of `size` bytes; null where all are to be sent: without the header, for units
 * and lists that are not known here, and for what is no range at all (RFC 9110, 14.2).
 * @throws DomainError `range_not_satisfiable`, with the `Content-Range` that tells the size.
 */
export function byteRange(header: string | undefined, size: number): ByteRange | null {
  const [, first = '', last = ''] = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i.exec(header ?? '') ?? [];
  if (first === '' && last === '') return null;
  if (first !== '' && last !== '' && Number(last) < Number(first)) return null;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1);
  if (start < end) return { start, end };
  throw new DomainError('range_not_satisfiable', `The content has ${size} bytes.`, {
    headers: { 'content-range': `bytes */${size}` },
  });
}
