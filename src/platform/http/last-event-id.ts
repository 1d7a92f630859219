import { DomainError } from '../errors/index.js';

/**
 * The number in a `Last-Event-ID` header; null when the reader sent none.
 * @throws DomainError `validation_failed` when it is no id of a stream of ours.
 */
export function parseLastEventId(header: string | undefined): number | null {
  if (header === undefined || header === '') return null;
  if (!/^\d{1,15}$/.test(header)) {
    throw DomainError.invalid('#/header/Last-Event-ID', 'The Last-Event-ID is not an id of this stream.');
  }
  return Number(header);
}
