import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { InProcessRateLimiter } from './in-process-rate-limiter.js';
import { verdictAfterTaking } from './rate-limit-verdict.js';

const window = fc.record({ consumed: fc.nat(1_000), leftMs: fc.integer({ min: -10, max: 3_600_000 }) });
const limit = fc.nat(500);

describe('rate limit verdicts', () => {
  it('stay within the limit and the window', () => {
    fc.assert(
      fc.property(window, limit, (found, max) => {
        const verdict = verdictAfterTaking(found, max);
        expect(verdict.limit).toBe(max);
        expect(verdict.allowed).toBe(found.consumed <= max);
        expect(verdict.remaining).toBeGreaterThanOrEqual(0);
        expect(verdict.remaining).toBeLessThanOrEqual(max);
        expect(verdict.resetSeconds).toBeGreaterThanOrEqual(0);
        expect(verdict.resetSeconds * 1_000 - found.leftMs).toBeLessThan(found.leftMs > 0 ? 1_000 : 1_000 + 10);
      }),
    );
  });

  it('are kept for a bounded number of keys, the newest', async () => {
    const limiter = new InProcessRateLimiter();
    for (let i = 0; i < 50_010; i += 1) await limiter.take(`key-${i}`, 1, 3_600);
    expect((await limiter.take('key-50009', 1, 3_600)).allowed).toBe(false);
    expect((await limiter.take('key-10', 1, 3_600)).allowed).toBe(false);
    expect((await limiter.take('key-0', 1, 3_600)).allowed).toBe(true);
    limiter.clear();
    expect((await limiter.take('key-50009', 1, 3_600)).allowed).toBe(true);
  });
});
