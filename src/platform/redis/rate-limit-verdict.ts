import type { RateLimitVerdict } from './ports.js';

/** A counter as it was found: points taken in the present window, and what is left of the window. */
export interface Window {
  readonly consumed: number;
  readonly leftMs: number;
}

/** The verdict on a point that was just taken. */
export function verdictAfterTaking({ consumed, leftMs }: Window, limit: number): RateLimitVerdict {
  return {
    allowed: consumed <= limit,
    limit,
    remaining: Math.max(limit - consumed, 0),
    resetSeconds: Math.max(Math.ceil(leftMs / 1000), 0),
  };
}
