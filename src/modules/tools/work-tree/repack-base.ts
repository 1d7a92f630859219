import { lstatSync, mkdirSync, readFileSync, readlinkSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PackWriter, storedBase, writeBase, type BaseRecord, type UnpackedBase } from './base-record.js';
import { BASE } from './tree-home.js';

const UNPACKED = 'base.unpacked';
const MAKING = 'base.packing';

/** The record of a base; one that an earlier version left unpacked is packed first. */
export function readBase(home: string): BaseRecord {
  const stored = storedBase(home);
  return Array.isArray(stored) ? repackBase(home, stored) : stored;
}

/**
 * Packs the base of a tree that an earlier version made, so that its task goes on. Dying at any point loses nothing: until
 * the new record is written, the unpacked files stay and the next call begins anew. Runs in a worker thread, under the turn
 * of `home`; each file is held in memory as a whole, and the workspace's bounds held for all of them.
 */
function repackBase(home: string, unpacked: UnpackedBase): BaseRecord {
  const making = join(home, MAKING);
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { mode: 0o700 });
  const source = join(home, lstatSync(join(home, UNPACKED), { throwIfNoEntry: false }) ? UNPACKED : BASE);
  const record: BaseRecord = new Map();
  const pack = new PackWriter(join(making, BASE));
  try {
    for (const [path, { type }] of unpacked) {
      const place = join(source, path);
      const content = type === 'link' ? Buffer.from(readlinkSync(place)) : readFileSync(place);
      record.set(path, { type, size: content.length, at: pack.position, stamp: '' });
      pack.add(content);
    }
    pack.flush();
  } finally {
    pack.close();
  }
  if (source === join(home, BASE)) renameSync(source, join(home, UNPACKED));
  renameSync(join(making, BASE), join(home, BASE));
  writeBase(home, record);
  rmSync(join(home, UNPACKED), { recursive: true, force: true });
  rmSync(making, { recursive: true, force: true });
  return record;
}
