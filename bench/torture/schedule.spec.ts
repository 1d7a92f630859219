import { describe, expect, it } from '@jest/globals';
import { EVERY_FAULT, faultSchedule, FAULTS, type FaultKind, type ScheduleOptions } from './schedule.js';

const OPTIONS: ScheduleOptions = {
  seed: 7,
  seconds: 900,
  workers: 4,
  everyMs: 700,
  leaseMs: 3_000,
  weights: EVERY_FAULT,
};

describe('a fault schedule', () => {
  it('is decided by its seed and its options', () => {
    expect(faultSchedule(OPTIONS)).toEqual(faultSchedule({ ...OPTIONS }));
    expect(faultSchedule({ ...OPTIONS, seed: 8 })).not.toEqual(faultSchedule(OPTIONS));
  });

  it('holds every fault, in the order of time, within the run, and on workers that there are', () => {
    const faults = faultSchedule(OPTIONS);
    const kinds = new Set(faults.map(({ kind }) => kind));
    expect([...kinds].toSorted()).toEqual(Object.values(FAULTS).flat().toSorted());
    expect(faults.map(({ atMs }) => atMs)).toEqual(faults.map(({ atMs }) => atMs).toSorted((a, b) => a - b));
    expect(faults.every(({ atMs, worker }) => atMs < 900_000 && worker >= 0 && worker < 4)).toBe(true);
  });

  it('leaves out what has no weight', () => {
    const weights: Partial<Record<FaultKind, number>> = { kill: 1, disk_full: 0 };
    expect(new Set(faultSchedule({ ...OPTIONS, weights }).map(({ kind }) => kind))).toEqual(new Set(['kill']));
    expect(faultSchedule({ ...OPTIONS, weights: {} })).toEqual([]);
  });

  it('pauses workers and holds their connections beyond their leases', () => {
    const long = faultSchedule(OPTIONS).filter(({ kind }) => kind === 'pause' || kind === 'hold');
    expect(long.length).toBeGreaterThan(50);
    expect(long.every(({ lasts }) => lasts > OPTIONS.leaseMs)).toBe(true);
  });

  it.each([['postgres_crash'], ['disk_full', 'unwritable']] as FaultKind[][])(
    'has no two of %s at a time',
    (...kinds) => {
      const faults = faultSchedule({ ...OPTIONS, everyMs: 100 }).filter(({ kind }) => kinds.includes(kind));
      expect(faults.length).toBeGreaterThan(50);
      for (const [index, fault] of faults.slice(1).entries()) {
        const before = faults[index]!;
        expect(fault.atMs).toBeGreaterThanOrEqual(before.atMs + before.lasts);
      }
    },
  );
});
