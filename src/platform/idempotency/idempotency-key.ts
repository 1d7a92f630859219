import { createHash } from 'node:crypto';
import { canonicalJson } from '../canonical-json/index.js';
import { DomainError } from '../errors/index.js';

const KEY = /^[\x20-\x7e]{1,255}$/;

/**
 * The `Idempotency-Key` header as the queue keeps it, together with a hash of the whole validated body: members in any
 * order and defaults written out or left out make the same hash. Undefined when the caller sent no key.
 * @throws DomainError `validation_failed` when it is not 1 to 255 printable ASCII characters.
 */
export function idempotencyOf(header: string | undefined, body: object): { key: string; bodyHash: string } | undefined {
  if (header === undefined) return undefined;
  if (!KEY.test(header)) {
    throw DomainError.invalid('#/header/Idempotency-Key', 'The Idempotency-Key must be 1 to 255 printable characters.');
  }
  return { key: header, bodyHash: createHash('sha256').update(canonicalJson(body)).digest('hex') };
}
