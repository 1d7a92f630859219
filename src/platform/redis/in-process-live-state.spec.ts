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
const value = fc.constantFrom('mine', 'yours');
const ttl = fc.integer({ min: 1, max: 100 });
const step = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), key, value, ttl }),
  fc.record({ kind: fc.constant('release' as const), key, value }),
  fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 60 }) }),
);

describe('InProcessLiveState', () => {
  it('keeps a value until it expires, is replaced or is released by who knows it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const clock = new HandClock();
        const state = new InProcessLiveState(clock);
        const kept = new Map<string, { value: string; until: number }>();
        for (const todo of steps) {
          if (todo.kind === 'pass') clock.ms += todo.ms;
          else if (todo.kind === 'set') {
            await state.set(todo.key, todo.value, todo.ttl);
            kept.set(todo.key, { value: todo.value, until: clock.ms + todo.ttl });
          } else {
            await state.release(todo.key, todo.value);
            if (kept.get(todo.key)?.value === todo.value) kept.delete(todo.key);
          }
          for (const name of ['a', 'b']) {
            const entry = kept.get(name);
            expect(await state.get(name)).toBe(entry !== undefined && entry.until > clock.ms ? entry.value : null);
          }
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
