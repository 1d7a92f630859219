import type { RateLimitVerdict } from './ports.js';

/** A counter as it was found: points taken in the present window, and what is left of the window. */
export interface Window {
  readonly consumed: number;
  readonly leftMs: number;
}

/** The verdict on a point that was just taken. */
export function verdictAfterTaking(found: Window, limit: number): RateLimitVerdict {
  return { ...left(found, limit), allowed: found.consumed <= limit };
}

/** The verdict on a point that would be taken now; `found` is null when the window is untouched. */
export function verdictBeforeTaking(found: Window | null, limit: number): RateLimitVerdict {
  const window = found !== null && found.consumed > 0 && found.leftMs > 0 ? found : { consumed: 0, leftMs: 0 };
  return { ...left(window, limit), allowed: window.consumed < limit };
}

function left({ consumed, leftMs }: Window, limit: number): Omit<RateLimitVerdict, 'allowed'> {
  return { limit, remaining: Math.max(limit - consumed, 0), resetSeconds: Math.max(Math.ceil(leftMs / 1000), 0) };
}
