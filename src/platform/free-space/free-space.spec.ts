import { describe, expect, it } from '@jest/globals';
import { isShort, mustStayFree, RoomGauge, type Free } from './free-space.js';

const MIB = 1024 * 1024;
const free = (bytes: number, size = 1000 * MIB): Free => ({
  bytes,
  size,
  used: size - bytes,
  names: 0,
  namesLeft: null,
});

describe('what must stay free', () => {
  it('is the smaller of 512 MiB and 5 %, or what is set', () => {
    expect(mustStayFree(600 * MIB, null)).toBe(30 * MIB);
    expect(mustStayFree(1024 ** 4, null)).toBe(512 * MIB);
    expect(mustStayFree(1024 ** 4, 7)).toBe(7);
    expect(mustStayFree(1024 ** 4, 0)).toBe(0);
  });

  it('is short below that and has room again above a quarter more', () => {
    let bytes = 0;
    const gauge = new RoomGauge(100 * MIB, () => free(bytes * MIB));
    const seen = [150, 100, 99, 110, 124, 125, 110, 99].map((mib) => {
      bytes = mib;
      return gauge.isShort('a');
    });
    expect(seen).toEqual([false, false, true, true, true, false, false, true]);
    expect(new RoomGauge(100, () => null).isShort('missing')).toBe(false);
  });
});

describe('names for files', () => {
  const names = (left: number | null, used = 0): Free => ({ ...free(900 * MIB), names: used, namesLeft: left });

  it.each([
    [names(16_384, 10_000_000), false],
    [names(16_383, 10_000_000), true],
    [names(5_000, 95_000), false],
    [names(4_999, 95_001), true],
    [names(null), false],
  ])('are counted where a disk has a number of them: %j is short: %s', (disk, short) => {
    expect(isShort(disk, null)).toBe(short);
    expect(isShort(disk, 0)).toBe(false);
  });

  it('are there again with a quarter more', () => {
    let left = 0;
    const gauge = new RoomGauge(null, () => names(left, 10_000_000));
    const seen = [20_480, 16_383, 20_479, 20_480].map((count) => {
      left = count;
      return gauge.isShort('a');
    });
    expect(seen).toEqual([false, true, true, false]);
  });
});
