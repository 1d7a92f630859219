import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Clock } from '../clock/index.js';
import { InProcessLiveState, wholeTtl } from './in-process-live-state.js';

class HandClock extends Clock {
  ms = 0;
  override monotonicMs(): number {
    return this.ms;
  }
}

const key = fc.constantFrom('a', 'b');
const holder = fc.constantFrom('me', 'you');
const ttl = fc.integer({ min: 1, max: 100 });
const step = fc.oneof(
  fc.record({ kind: fc.constant('acquire' as const), key, holder, ttl }),
  fc.record({ kind: fc.constant('renew' as const), key, holder, ttl }),
  fc.record({ kind: fc.constant('release' as const), key, holder }),
  fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 60 }) }),
);

describe('InProcessLiveState', () => {
  it('gives a lock to one holder at a time, until it releases it or lets it expire', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const clock = new HandClock();
        const state = new InProcessLiveState(clock);
        const held = new Map<string, { holder: string; until: number }>();
        for (const todo of steps) {
          if (todo.kind === 'pass') {
            clock.ms += todo.ms;
            continue;
          }
          const now = held.get(todo.key);
          const owner = now !== undefined && now.until > clock.ms ? now.holder : null;
          if (todo.kind === 'release') {
            await state.release(todo.key, todo.holder);
            if (owner === todo.holder) held.delete(todo.key);
            continue;
          }
          const may = todo.kind === 'acquire' ? owner === null : owner === todo.holder;
          expect(await state[todo.kind](todo.key, todo.holder, todo.ttl)).toBe(may);
          if (may) held.set(todo.key, { holder: todo.holder, until: clock.ms + todo.ttl });
          expect(await state.get(todo.key)).toBe(may ? todo.holder : owner);
        }
      }),
    );
  });

  it('forgets expired values that nobody reads', async () => {
    const clock = new HandClock();
    const state = new InProcessLiveState(clock);
    for (let i = 0; i < 100_000; i += 1) {
      clock.ms += 1;
      await state.set(`key-${i}`, 'value', 100);
    }
    expect(state.size).toBeLessThan(2_000);
  });

  it('turns any time to live into one that a server accepts', () => {
    fc.assert(
      fc.property(fc.double(), (ms) => {
        const whole = wholeTtl(ms);
        expect(Number.isSafeInteger(whole) && whole >= 1).toBe(true);
        if (ms >= 1 && ms <= 1e9) expect(whole - ms).toBeLessThan(1);
      }),
    );
  });
});
