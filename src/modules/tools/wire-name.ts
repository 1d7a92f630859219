import { createHash } from 'node:crypto';

const ACCEPTED = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * The name under which models are shown the tool `name`: itself where providers accept it, else its accepted part with a
 * hash of the whole, so that different tools stay different and the same tool always has the same name.
 */
export function wireName(name: string): string {
  if (ACCEPTED.test(name)) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 12);
  return `${name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 51)}_${hash}`;
}
