import { randomFillSync } from 'node:crypto';
import { open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Injectable, Logger } from '@nestjs/common';
import { AppConfig } from '../../config/index.js';
import { DomainError } from '../errors/index.js';
import { Periodic } from '../schedule/index.js';
import { freeSpace, mustStayFree, RoomGauge, type FreeSpace } from '../free-space/index.js';

/** Bytes that are kept for the time when a disk is full, so that ends can be written: what is free else, in part. */
const RESERVE = 32 * 1024 * 1024;
const RESERVE_SHARE = 0.25;
const PIECE = 1024 * 1024;
const LOOK_MS = 1_000;

/** Whether the disks of the data folder and the workspace have room for more work. */
@Injectable()
export class StorageRoom {
  protected readonly space: FreeSpace = freeSpace;
  private readonly logger = new Logger('Storage');
  private gauge: RoomGauge | undefined;
  private told = false;

  constructor(private readonly config: AppConfig) {}

  /** Which folder's disk is short of room, as its variable; null where none is. */
  shortOf(): 'NOVA_DATA_DIR' | 'NOVA_WORKSPACE' | null {
    this.gauge ??= new RoomGauge(this.config.disk.minFree, (folder) => this.space(folder));
    const [data, workspace] = [this.gauge.isShort(this.config.dataDir), this.gauge.isShort(this.config.workspace)];
    const short = data ? 'NOVA_DATA_DIR' : workspace ? 'NOVA_WORKSPACE' : null;
    if ((short !== null) !== this.told) {
      this.told = short !== null;
      if (short === null) this.logger.log('The disks have room again; new work is taken.');
      else
        this.logger.warn(`The disk of ${short} is nearly full: new work is refused and nothing is written by tools.`);
    }
    return short;
  }

  /** @throws DomainError `storage_full` while a disk is short of room. */
  assertRoom(): void {
    const short = this.shortOf();
    if (short === null) return;
    throw new DomainError('storage_full', `The disk of ${short} is nearly full; new work is taken when there is room.`);
  }

  /**
   * Keeps a file that takes up room while there is some, and removes it when a disk is nearly full: what must be written
   * then, as the end of a task, finds its bytes.
   */
  @Periodic('disk reserve', () => LOOK_MS)
  async keepReserve(): Promise<void> {
    const free = this.space(this.config.dataDir);
    if (free === null) return;
    const least = mustStayFree(free.size, this.config.disk.minFree);
    const bytes = Math.floor(Math.min(RESERVE, least * RESERVE_SHARE));
    const path = join(this.config.dataDir, 'reserve');
    const isShort = this.shortOf() !== null;
    if (bytes === 0 || free.bytes < bytes) {
      await rm(path, { force: true });
      return;
    }
    if (isShort || (await stat(path).catch(() => null))?.size === bytes) return;
    await fill(path, bytes);
  }
}

/** Writes a file that takes as many bytes on the disk as it has, also on one that compresses. */
async function fill(path: string, bytes: number): Promise<void> {
  const piece = randomFillSync(Buffer.allocUnsafe(Math.min(PIECE, bytes)));
  const file = await open(path, 'w', 0o600);
  try {
    for (let left = bytes; left > 0; left -= piece.length) await file.write(piece, 0, Math.min(left, piece.length));
    await file.sync();
  } finally {
    await file.close();
  }
}
