import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { InProcessRateLimiter } from './in-process-rate-limiter.js';
import { verdictAfterTaking, verdictBeforeTaking } from './rate-limit-verdict.js';

const window = fc.record({ consumed: fc.nat(1_000), leftMs: fc.integer({ min: -10, max: 3_600_000 }) });
const limit = fc.nat(500);

describe('rate limit verdicts', () => {
  it('stay within the limit and the window', () => {
    fc.assert(
      fc.property(window, limit, (found, max) => {
        for (const verdict of [verdictAfterTaking(found, max), verdictBeforeTaking(found, max)]) {
          expect(verdict.limit).toBe(max);
          expect(verdict.remaining).toBeGreaterThanOrEqual(0);
          expect(verdict.remaining).toBeLessThanOrEqual(max);
          expect(verdict.resetSeconds).toBeGreaterThanOrEqual(0);
          expect(verdict.resetSeconds * 1_000 - found.leftMs).toBeLessThan(found.leftMs > 0 ? 1_000 : 1_000 + 10);
        }
      }),
    );
  });

  it('of a look and of the take after it agree', () => {
    fc.assert(
      fc.property(window, limit, (found, max) => {
        const before = verdictBeforeTaking(found, max);
        const consumed = found.consumed > 0 && found.leftMs > 0 ? found.consumed + 1 : 1;
        const after = verdictAfterTaking({ ...found, consumed }, max);
        expect(after.allowed).toBe(before.allowed);
        expect(after.remaining).toBe(Math.max(before.remaining - 1, 0));
      }),
    );
  });

  it('of an untouched window allow whatever the limit does', () => {
    expect(verdictBeforeTaking(null, 3)).toEqual({ allowed: true, limit: 3, remaining: 3, resetSeconds: 0 });
    expect(verdictBeforeTaking(null, 0).allowed).toBe(false);
  });

  it('are kept for a bounded number of keys, the newest', async () => {
    const limiter = new InProcessRateLimiter();
    for (let i = 0; i < 50_010; i += 1) await limiter.take(`key-${i}`, 1, 3_600);
    expect((await limiter.peek('key-0', 1, 3_600)).allowed).toBe(true);
    expect((await limiter.peek('key-10', 1, 3_600)).allowed).toBe(false);
    expect((await limiter.peek('key-50009', 1, 3_600)).allowed).toBe(false);
    limiter.clear();
    expect((await limiter.peek('key-50009', 1, 3_600)).allowed).toBe(true);
  });
});
