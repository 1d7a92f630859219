import { describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { Clock } from '../../platform/clock/index.js';
import type { ApiKeysRepository } from './api-keys.repository.js';
import { KeyUses } from './key-uses.js';

class HandClock extends Clock {
  ms = 0;
  override monotonicMs(): number {
    return this.ms;
  }
}

function setup(): {
  uses: KeyUses;
  clock: HandClock;
  writes: { id: string; ageMs: number }[][];
  fail: (on: boolean) => void;
} {
  Logger.overrideLogger(false);
  const writes: { id: string; ageMs: number }[][] = [];
  let failing = false;
  const keys = {
    touch: async (uses: { id: string; ageMs: number }[]): Promise<void> => {
      if (failing) throw new Error('away');
      writes.push(uses);
    },
  };
  const clock = new HandClock();
  return {
    uses: new KeyUses(keys as unknown as ApiKeysRepository, clock),
    clock,
    writes,
    fail: (on) => (failing = on),
  };
}

describe('the uses of keys', () => {
  it('are written together, the last one of each key', async () => {
    const { uses, clock, writes } = setup();
    for (clock.ms = 0; clock.ms < 1_000; clock.ms += 1) uses.note(clock.ms % 2 ? 'odd' : 'even');
    await uses.flush();
    await uses.flush();
    expect(writes).toEqual([
      [
        { id: 'even', ageMs: 2 },
        { id: 'odd', ageMs: 1 },
      ],
    ]);
  });

  it('wait when they cannot be written, and newer ones win', async () => {
    const { uses, clock, writes, fail } = setup();
    uses.note('a');
    uses.note('b');
    fail(true);
    await uses.flush();
    clock.ms = 10;
    uses.note('b');
    fail(false);
    clock.ms = 15;
    await uses.onApplicationShutdown();
    expect(writes).toEqual([
      [
        { id: 'a', ageMs: 15 },
        { id: 'b', ageMs: 5 },
      ],
    ]);
  });
});
