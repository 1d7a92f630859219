import { createHash } from 'node:crypto';

/** The one form of an id that every provider takes; Mistral takes no other. */
const PLAIN = /^[a-zA-Z0-9]{9}$/;
const LENGTH = 9;

export function isPlainCallId(id: string): boolean {
  return PLAIN.test(id);
}

/** An id of a tool call that every provider takes, the same for the same `seed`. */
export function plainCallId(seed: string): string {
  const number = BigInt(`0x${createHash('sha256').update(seed).digest('hex').slice(0, 16)}`);
  return number.toString(36).padStart(LENGTH, '0').slice(-LENGTH);
}
