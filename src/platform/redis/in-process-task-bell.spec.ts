import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { InProcessTaskBell, isRing, MAX_RINGS, ringsAfterHearing } from './in-process-task-bell.js';

const action = fc.oneof(
  fc.record({ kind: fc.constant('ring' as const), ids: fc.nat(5) }),
  fc.constant({ kind: 'wait' as const }),
  fc.constant({ kind: 'leave' as const }),
);

describe('InProcessTaskBell', () => {
  it('never lets a waiter wait while a ring is unheard, and answers each wait once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
        const bell = new InProcessTaskBell();
        const waits: Promise<boolean>[] = [];
        const waiting: AbortController[] = [];
        let rings = 0;
        for (const step of actions) {
          if (step.kind === 'ring') {
            rings += step.ids;
            await bell.ring(Array.from({ length: step.ids }, (_, i) => `id-${i}`));
          } else if (step.kind === 'wait') {
            const ended = new AbortController();
            waiting.push(ended);
            waits.push(bell.wait(60_000, ended.signal));
          } else {
            waiting.shift()?.abort();
          }
        }
        // Whoever still waits found no ring: one more wakes the first of them.
        const left = bell.waiting;
        await bell.ring(['last']);
        expect(bell.waiting).toBe(Math.max(left - 1, 0));
        bell.stop();
        const answers = await Promise.all(waits);
        expect(answers.filter(Boolean).length).toBeLessThanOrEqual(rings + 1);
      }),
    );
  });

  it('wakes the longest waiting first', async () => {
    const bell = new InProcessTaskBell();
    const order: number[] = [];
    const ended = new AbortController();
    const waits = [0, 1, 2].map(async (i) => (await bell.wait(60_000, ended.signal)) && order.push(i));
    await bell.ring(['a', 'b']);
    ended.abort();
    await Promise.all(waits);
    expect(order).toEqual([0, 1]);
  });

  it('keeps a bounded number of rings and forgets them within fifteen hearings', async () => {
    const bell = new InProcessTaskBell();
    for (let i = 0; i < 3; i += 1) await bell.ring(Array.from({ length: 9_000 }, () => 'id'));
    let heard = 0;
    while (await bell.wait(0, new AbortController().signal)) heard += 1;
    expect(heard).toBe(14);
    expect(Math.ceil(Math.log2(MAX_RINGS))).toBe(14);
  });

  it('forgets at least one ring with each hearing', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX_RINGS }), (rings) => {
        expect(ringsAfterHearing(rings)).toBeLessThan(rings);
        expect(ringsAfterHearing(rings)).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('takes ids only', () => {
    expect(isRing('01890a5d-ac96-774b-bcce-b302099a8057')).toBe(true);
    for (const no of ['', 'a b', 'a\n', 'ä', 'x'.repeat(65), null, 7]) expect(isRing(no)).toBe(false);
  });
});
