import { statfsSync } from 'node:fs';

/** Room on the disk of a folder. */
export interface Free {
  bytes: number;
  /** Bytes of the whole disk. */
  size: number;
  /** Bytes and names in use, of everybody. */
  used: number;
  names: number;
  /** Names that can still be made; null where the disk makes them from its bytes. */
  namesLeft: number | null;
}

/** How much room there is on disks; tests have their own. */
export type FreeSpace = (folder: string) => Free | null;

/** `statfs`, null where the folder is not there. */
export const freeSpace: FreeSpace = (folder) => {
  try {
    const { bsize, blocks, bfree, bavail, files, ffree } = statfsSync(folder);
    return {
      bytes: bavail * bsize,
      size: blocks * bsize,
      used: (blocks - bfree) * bsize,
      names: files - ffree,
      namesLeft: files === 0 ? null : ffree,
    };
  } catch {
    return null;
  }
};

const MIB = 1024 * 1024;
const SHARE = 0.05;
/** Names that stay free of a disk that has a number of them, or the share of it where that is less. */
const LEAST_NAMES = 16_384;
/** Room is there again when it is this much more than what must be free. */
const RECOVERED = 1.25;

/** The bytes that stay free of a disk: `least`, or the smaller of 512 MiB and 5 %. */
export function mustStayFree(size: number, least: number | null): number {
  return least ?? Math.min(512 * MIB, size * SHARE);
}

/** Whether a disk is short of bytes, or of names for files; with `least` 0 none is. `factor` asks for more of both. */
export function isShort(free: Free, least: number | null, factor = 1): boolean {
  if (least === 0) return false;
  if (free.bytes < mustStayFree(free.size, least) * factor) return true;
  if (free.namesLeft === null) return false;
  return free.namesLeft < Math.min(LEAST_NAMES, (free.names + free.namesLeft) * SHARE) * factor;
}

/** Whether disks are short of room, told apart from the moment before, so that it does not change with every byte. */
export class RoomGauge {
  private readonly short = new Map<string, boolean>();

  constructor(
    private readonly least: number | null,
    private readonly space: FreeSpace = freeSpace,
  ) {}

  /** Whether the disk of `folder` is short of room; one that is not there is not. */
  isShort(folder: string): boolean {
    const free = this.space(folder);
    if (free === null) return false;
    const short = isShort(free, this.least, this.short.get(folder) === true ? RECOVERED : 1);
    this.short.set(folder, short);
    return short;
  }
}
