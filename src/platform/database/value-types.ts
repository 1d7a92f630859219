import pg from 'pg';

/**
 * How column values arrive in JavaScript: bigint and numeric as numbers, timestamptz as Date, jsonb parsed. All bigints of this
 * schema count things and stay below 2^53; one that does not fails its statement instead of losing digits.
 */
export const VALUE_TYPES: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    format === 'binary'
      ? pg.types.getTypeParser(oid, 'binary')
      : (PARSERS.get(oid) ?? pg.types.getTypeParser(oid, 'text')),
};

const { builtins } = pg.types;
const INT8_ARRAY = 1016;

const PARSERS = new Map<number, (text: string) => unknown>([
  [builtins.INT8, safeInteger],
  [builtins.NUMERIC, Number],
  [
    INT8_ARRAY,
    (text) =>
      text
        .slice(1, -1)
        .split(',')
        .filter(Boolean)
        .map((entry) => (entry === 'NULL' ? null : safeInteger(entry))),
  ],
]);

function safeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} is too large for a number`);
  return value;
}
