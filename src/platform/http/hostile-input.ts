import { DomainError } from '../errors/index.js';
import { isStorableText } from './text.js';

/** Nesting beyond this is refused: no resource of ours needs it and recursive code downstream stays within its stack. */
const DEEPEST = 32;
/** Names that every object inherits: careless code reaches prototypes by them, and class-transformer drops them without a word. */
const REFUSED_KEYS = new Set(['prototype', ...Object.getOwnPropertyNames(Object.prototype)]);

/** A key as a step of an RFC 6901 pointer in a URI fragment. */
export function pointerStep(key: string): string {
  return encodeURIComponent(
    key.toWellFormed().slice(0, 100).toWellFormed().replaceAll('~', '~0').replaceAll('/', '~1'),
  );
}

/**
 * Refuses what no route can take: NUL and lone surrogates (PostgreSQL stores neither), keys that reach prototypes, and
 * values nested deeper than 32.
 * @throws DomainError `validation_failed` with the pointer of the first fault.
 */
export function refuseHostileInput(value: unknown, pointer: string, depth = 0): void {
  if (typeof value === 'string') {
    if (!isStorableText(value))
      throw DomainError.invalid(pointer, 'The text holds a NUL character or a lone surrogate.');
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  if (depth >= DEEPEST) throw DomainError.invalid(pointer, `The value is nested more than ${DEEPEST} levels deep.`);
  if (Array.isArray(value)) {
    value.forEach((item, index) => refuseHostileInput(item, `${pointer}/${index}`, depth + 1));
    return;
  }
  for (const [key, inner] of Object.entries(value)) {
    const step = `${pointer}/${pointerStep(key)}`;
    if (REFUSED_KEYS.has(key)) throw DomainError.invalid(step, `The name ${key} is not allowed.`);
    if (!isStorableText(key)) throw DomainError.invalid(step, 'A name holds a NUL character or a lone surrogate.');
    refuseHostileInput(inner, step, depth + 1);
  }
}
