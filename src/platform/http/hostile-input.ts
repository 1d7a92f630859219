import { DomainError } from '../errors/index.js';
import { isStorableText } from '../database/index.js';

/** Nesting beyond this is refused: no resource of ours needs it and recursive code downstream stays within its stack. */
const DEEPEST = 32;
/**
 * Values (texts, numbers, lists, objects) that one body may hold. Each faulty one costs its validation far more than its two
 * bytes cost the caller, and nobody else is served meanwhile.
 */
const MOST_VALUES = 20_000;
/** Names that every object inherits: careless code reaches prototypes by them, and class-transformer drops them without a word. */
const REFUSED_KEYS = new Set(['prototype', ...Object.getOwnPropertyNames(Object.prototype)]);

/** A key as a step of an RFC 6901 pointer in a URI fragment. */
export function pointerStep(key: string): string {
  return encodeURIComponent(
    key.toWellFormed().slice(0, 100).toWellFormed().replaceAll('~', '~0').replaceAll('/', '~1'),
  );
}

/**
 * Refuses what no route can take: NUL and lone surrogates (PostgreSQL stores neither), keys that reach prototypes, values
 * nested deeper than 32, and more than 20 000 values.
 * @throws DomainError `validation_failed` with the pointer of the first fault.
 */
export function refuseHostileInput(value: unknown, pointer: string): void {
  refuse(value, pointer, 0, { left: MOST_VALUES, pointer });
}

function refuse(
  value: unknown,
  pointer: string,
  depth: number,
  values: { left: number; readonly pointer: string },
): void {
  values.left -= 1;
  if (values.left < 0) throw DomainError.invalid(values.pointer, `There are more than ${MOST_VALUES} values.`);
  if (typeof value === 'string') {
    if (!isStorableText(value))
      throw DomainError.invalid(pointer, 'The text holds a NUL character or a lone surrogate.');
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  if (depth >= DEEPEST) throw DomainError.invalid(pointer, `The value is nested more than ${DEEPEST} levels deep.`);
  if (Array.isArray(value)) {
    value.forEach((item, index) => refuse(item, `${pointer}/${index}`, depth + 1, values));
    return;
  }
  for (const [key, inner] of Object.entries(value)) {
    const step = `${pointer}/${pointerStep(key)}`;
    if (REFUSED_KEYS.has(key)) throw DomainError.invalid(step, `The name ${key} is not allowed.`);
    if (!isStorableText(key)) throw DomainError.invalid(step, 'A name holds a NUL character or a lone surrogate.');
    refuse(inner, step, depth + 1, values);
  }
}
