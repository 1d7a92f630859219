import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { AppConfig } from '../../config/index.js';
import type { Free, FreeSpace } from '../free-space/index.js';
import { StorageRoom } from './storage-room.js';

const MIB = 1024 * 1024;
const free = (bytes: number, size = 1000 * MIB): Free => ({
  bytes,
  size,
  used: size - bytes,
  names: 0,
  namesLeft: null,
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
