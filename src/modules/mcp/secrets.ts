import { DomainError, type FieldFault } from '../../platform/errors/index.js';
import { UnreadableSecret, type Secret } from '../../platform/secrets/index.js';
import type { McpServerSettings } from './mcp-server.js';

/** What every secret value reads as. */
export const MASK = '********';

/** Shorter values are words that occur anywhere. */
const SHORTEST_SECRET = 6;

/** `values` as they may be read: the names only. */
export function masked(values: Readonly<Record<string, Secret>>): Record<string, string> {
  return Object.fromEntries(Object.keys(values).map((name) => [name, MASK]));
}

/**
 * `given` with the values of `kept` where a caller sent back the mask that it had read.
 * @throws DomainError validation_failed for a mask that stands for nothing.
 */
export function unmasked(
  given: Readonly<Record<string, Secret>>,
  kept: Readonly<Record<string, Secret>>,
  field: 'env' | 'headers',
): Record<string, Secret> {
  const faults: FieldFault[] = [];
  const values = Object.entries(given).map(([name, value]) => {
    if (value !== MASK) return [name, value] as const;
    const old = Object.hasOwn(kept, name) ? kept[name] : undefined;
    if (old === undefined) {
      const at = name.replaceAll('~', '~0').replaceAll('/', '~1');
      faults.push({ pointer: `#/${field}/${at}`, detail: 'This is the mask of a value, and there is none to keep.' });
    }
    return [name, old ?? ''] as const;
  });
  if (faults.length > 0) throw new DomainError('validation_failed', faults[0]?.detail ?? '', { errors: faults });
  return Object.fromEntries(values);
}

/**
 * `values` for use.
 * @throws Error that names one that cannot be read, and says why.
 */
export function readable(values: Readonly<Record<string, Secret>>, field: 'env' | 'headers'): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => {
      if (value instanceof UnreadableSecret) throw new Error(`${field}.${name} cannot be read: ${value.reason}`);
      return [name, value];
    }),
  );
}

/** The secret values of a server, as they may turn up in what it says; a header's scheme is left off. */
export function secretValues({ env, headers }: Pick<McpServerSettings, 'env' | 'headers'>): string[] {
  const isKnown = (value: Secret): value is string => typeof value === 'string';
  const tokens = Object.values(headers)
    .filter(isKnown)
    .flatMap((value) => [value, value.replace(/^\S+\s+/, '')]);
  return [...new Set([...Object.values(env).filter(isKnown), ...tokens])].filter(
    (value) => value.length >= SHORTEST_SECRET,
  );
}
