import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { AppConfig } from '../../config/index.js';
import { isShort, mustStayFree, RoomGauge, type Free, type FreeSpace } from './free-space.js';
import { StorageRoom } from './storage-room.js';

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

describe('StorageRoom', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nova-room-'));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('refuses work, says which disk, and takes it again; its reserve is given up and made again', async () => {
    const spaces: Record<string, Free> = {};
    class Room extends StorageRoom {
      protected override readonly space: FreeSpace = (path) => spaces[path] ?? null;
    }
    const data = mkdtempSync(join(tmpdir(), 'nova-room-'));
    const config = AppConfig.from({ NOVA_DATA_DIR: data, NOVA_WORKSPACE: folder, DISK_MIN_FREE: '4MiB' });
    const room = new Room(config);
    const reserve = (): number => statSync(join(data, 'reserve'), { throwIfNoEntry: false })?.size ?? 0;
    try {
      [spaces[data], spaces[folder]] = [free(500 * MIB), free(500 * MIB)];
      await room.keepReserve();
      expect(room.shortOf()).toBeNull();
      expect(reserve()).toBe(MIB);
      spaces[folder] = free(3 * MIB);
      expect(() => room.assertRoom()).toThrow(expect.objectContaining({ code: 'storage_full' }));
      expect(room.shortOf()).toBe('NOVA_WORKSPACE');
      await room.keepReserve();
      expect(reserve()).toBe(MIB);
      spaces[data] = free(MIB / 2);
      await room.keepReserve();
      expect(reserve()).toBe(0);
      expect(room.shortOf()).toBe('NOVA_DATA_DIR');
      [spaces[data], spaces[folder]] = [free(500 * MIB), free(500 * MIB)];
      room.assertRoom();
      await room.keepReserve();
      expect(reserve()).toBe(MIB);
    } finally {
      rmSync(data, { recursive: true, force: true });
    }
  });
});
