import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  futimesSync,
  lchownSync,
  mkdirSync,
  openSync,
  readSync,
  symlinkSync,
} from 'node:fs';
import { errorCode } from '../boundary/path-refused.js';
import { stampOf, writeAll, type BaseEntry } from './base-record.js';
import type { OpenFolder } from './open-folder.js';
import type { TreeBudget } from './tree-budget.js';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
const CHUNK_BYTES = 1024 * 1024;

/** A copied file, and what its source looked like when it was opened. */
export interface Copied extends Omit<BaseEntry, 'at'> {
  source: string;
}

/**
 * Copies single files and links between open folders, in a worker thread. Copies keep the time of modification; they belong to
 * whom the folder does that `owner` was taken from, and have no set-id bits.
 */
export class FileCopier {
  private readonly chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  private readonly isRoot = process.geteuid?.() === 0;
  private owner: { uid: number; gid: number } | undefined;

  constructor(private readonly budget: TreeBudget) {}

  /** Copies the regular file `name`; null when it is none, is gone, or may not be read. */
  copy(from: OpenFolder, into: OpenFolder, name: string): Copied | null {
    const source = from.file(name);
    if (source === null) return null;
    try {
      const stat = fstatSync(source, { bigint: true });
      if (!stat.isFile()) return null;
      this.budget.charge(Number(stat.size));
      const executable = (Number(stat.mode) & 0o100) !== 0;
      const copy = openSync(into.at(name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, executable ? 0o755 : 0o644);
      try {
        const size = this.pour(source, copy, Number(stat.size));
        if (this.isRoot) {
          const { uid, gid } = this.ownerOf(into);
          fchownSync(copy, uid, gid);
        }
        futimesSync(copy, Number(stat.atimeNs) / 1e9, Number(stat.mtimeNs) / 1e9);
        return {
          type: executable ? 'executable' : 'file',
          size,
          stamp: stampOf(fstatSync(copy, { bigint: true })),
          source: stampOf(stat),
        };
      } finally {
        closeSync(copy);
      }
    } finally {
      closeSync(source);
    }
  }

  /** Copies the link `name` itself; null when it is none. */
  copyLink(from: OpenFolder, into: OpenFolder, name: string): Copied | null {
    const source = from.stat(name);
    const target = from.linkTarget(name);
    if (source === null || target === null) return null;
    const content = Buffer.from(target);
    this.budget.charge(content.length);
    symlinkSync(target, into.at(name));
    this.own(into, name);
    const stat = into.stat(name);
    if (stat === null) return null;
    return { type: 'link', size: content.length, stamp: stampOf(stat), source: stampOf(source) };
  }

  /** Makes the folder `name` where there is none yet. */
  makeFolder(into: OpenFolder, name: string): void {
    try {
      mkdirSync(into.at(name), 0o755);
    } catch (error) {
      if (errorCode(error) === 'EEXIST') return;
      throw error;
    }
    this.own(into, name);
  }

  /** Gives the entry `name` to the owner of all copies, where the service is root. */
  own(into: OpenFolder, name: string): void {
    if (!this.isRoot) return;
    const { uid, gid } = this.ownerOf(into);
    lchownSync(into.at(name), uid, gid);
  }

  private ownerOf(folder: OpenFolder): { uid: number; gid: number } {
    return (this.owner ??= fstatSync(folder.descriptor));
  }

  /** Bytes that went from `source` to `copy`. */
  private pour(source: number, copy: number, expected: number): number {
    let size = 0;
    for (;;) {
      const bytes = readSync(source, this.chunk, 0, this.chunk.length, null);
      const piece = this.chunk.subarray(0, bytes);
      size += bytes;
      if (size > expected) this.budget.grow(Math.min(bytes, size - expected));
      if (bytes > 0) writeAll(copy, piece);
      // A short read of a regular file is its end; asking once more costs as much as a small file does.
      if (bytes < this.chunk.length) return size;
    }
  }
}
