import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  linkSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  writeFileSync,
  writeSync,
  type BigIntStats,
} from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '../boundary/path-refused.js';
import type { FileType } from './file-record.js';
import { BASE, MANIFEST } from './tree-home.js';

/**
 * What one path of a tree held when the task began. `at` is where its content begins in the base's pack, `stamp` what the
 * tree's own file looked like right after it was filled; empty is not known.
 */
export interface BaseEntry {
  type: FileType;
  /** Bytes. */
  size: number;
  at: number;
  stamp: string;
}

/** The entries of a base by path. */
export type BaseRecord = Map<string, BaseEntry>;

/** A record of the first format: the content stands below `base`, one file for each path. */
export type UnpackedBase = [path: string, record: { type: FileType; size: number }][];

const VERSION = 2;
const BUFFER_BYTES = 4 * 1024 * 1024;

/**
 * What of a file changes when its content does. The change time is the kernel's: nothing in a box can set it, as `touch` can
 * set the time of modification. Written as `find -printf '%i %s %T@ %C@ %m'` does, so that a listing is compared as it comes.
 */
export function stampOf({ ino, size, mtimeNs, ctimeNs, mode }: BigIntStats): string {
  return `${ino} ${size} ${seconds(mtimeNs)} ${seconds(ctimeNs)} ${(mode & 0o7777n).toString(8)}`;
}

/** A time with ten decimal places. Times before 1970 read otherwise in find, whose files are then read again. */
function seconds(time: bigint): string {
  const digits = `${time}`.padStart(10, '0');
  return `${digits.slice(0, -9)}.${digits.slice(-9)}0`;
}

/** Stores the record in the folder of a task's trees, whole or not at all. */
export function writeBase(home: string, record: BaseRecord): void {
  const rows = [...record].map(([path, { type, size, at, stamp }]) => [path, type, size, at, stamp]);
  const making = join(home, `${MANIFEST}.making`);
  writeFileSync(making, JSON.stringify({ version: VERSION, files: rows }), { mode: 0o600 });
  renameSync(making, join(home, MANIFEST));
}

/** The record as it is stored, or the files of a base that an earlier version left unpacked. */
export function storedBase(home: string): BaseRecord | UnpackedBase {
  const stored = JSON.parse(readFileSync(join(home, MANIFEST), 'utf8')) as
    { version: number; files: [string, FileType, number, number, string][] } | UnpackedBase;
  if (Array.isArray(stored)) return stored;
  if (stored.version !== VERSION) throw new Error(`The record of a work tree has the format ${stored.version}.`);
  return new Map(stored.files.map(([path, type, size, at, stamp]) => [path, { type, size, at, stamp }]));
}

/** The pack of a base, open for reading. */
export class BasePack {
  private readonly descriptor: number;

  constructor(home: string) {
    this.descriptor = openSync(join(home, BASE), constants.O_RDONLY);
  }

  /** The SHA-256 of an entry's content. */
  hashOf(entry: BaseEntry): string {
    const hash = createHash('sha256');
    this.read(entry, (piece) => hash.update(piece));
    return hash.digest('hex');
  }

  /** An entry's content as text, for entries that are known to be small. */
  textOf(entry: BaseEntry): string {
    const pieces: Buffer[] = [];
    this.read(entry, (piece) => pieces.push(Buffer.from(piece)));
    return Buffer.concat(pieces).toString('utf8');
  }

  /** Gives `take` the content in pieces that are only valid until the next one. */
  private read({ at, size }: BaseEntry, take: (piece: Buffer) => void): void {
    const chunk = Buffer.allocUnsafe(Math.min(size, BUFFER_BYTES));
    for (let read = 0; read < size;) {
      const bytes = readSync(this.descriptor, chunk, 0, Math.min(chunk.length, size - read), at + read);
      if (bytes === 0) throw new Error('The pack of a work tree is shorter than its record says.');
      take(chunk.subarray(0, bytes));
      read += bytes;
    }
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

/**
 * Gives the file `from`, whose content stays as it is, the second name `to`: it is gone when the last of its names is. Where the
 * file system has no second names, `to` is a copy.
 */
export function shareFile(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if (!['EPERM', 'EMLINK', 'EOPNOTSUPP', 'ENOSYS'].includes(errorCode(error) ?? '')) throw error;
    copyFileSync(from, to);
  }
}

/**
 * Writes content to the end of a pack: that of many files, one after the other. One large file costs the disk a tenth of what as
 * many small ones do.
 */
export class PackWriter {
  private readonly descriptor: number;
  private readonly buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  private filled = 0;
  private written: number;

  constructor(path: string) {
    this.descriptor = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    this.written = fstatSync(this.descriptor).size;
  }

  /** Where the next piece will begin. */
  get position(): number {
    return this.written + this.filled;
  }

  add(piece: Buffer): void {
    if (piece.length > this.buffer.length - this.filled) this.flush();
    if (piece.length > this.buffer.length) {
      writeAll(this.descriptor, piece, this.written);
      this.written += piece.length;
    } else this.filled += piece.copy(this.buffer, this.filled);
  }

  /** Writes what is still held back; without it a closed pack is not whole. */
  flush(): void {
    writeAll(this.descriptor, this.buffer.subarray(0, this.filled), this.written);
    this.written += this.filled;
    this.filled = 0;
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

/** Writes all of `piece`, at `position` or where the descriptor stands. */
export function writeAll(descriptor: number, piece: Buffer, position: number | null = null): void {
  for (let done = 0; done < piece.length;) {
    done += writeSync(descriptor, piece, done, piece.length - done, position === null ? null : position + done);
  }
}
