import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  futimesSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { stampOf, writeAll, type BaseEntry } from './base-record.js';
import type { MomentFile } from './moment.js';
import { NEAR, OpenFolder } from './open-folder.js';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants;
const BUFFER_BYTES = 4 * 1024 * 1024;
const MOST_OPEN = 256;

/**
 * Makes files in a tree that nobody else knows yet, with content from a pack. They belong to whom the tree does. Paths of such a
 * tree lead where they say; what goes by paths takes two thirds of the time of what goes by descriptors of folders.
 */
export class NewFiles {
  private readonly pack: number;
  private readonly buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  /** Which part of the pack the buffer holds. */
  private held = { from: 0, to: 0 };
  private readonly owner: { uid: number; gid: number } | null;
  private readonly far = new Map<string, OpenFolder>();

  constructor(
    private readonly tree: string,
    pack: string,
  ) {
    this.owner = process.geteuid?.() === 0 ? statSync(tree) : null;
    this.pack = openSync(pack, O_RDONLY);
  }

  close(): void {
    closeSync(this.pack);
    this.closeFar();
  }

  makeFolder(path: string): void {
    const place = this.placeOf(path);
    mkdirSync(place, 0o755);
    if (this.owner !== null) lchownSync(place, this.owner.uid, this.owner.gid);
  }

  make(path: string, { type, size, at, modified }: MomentFile): BaseEntry {
    const place = this.placeOf(path);
    return {
      type,
      size,
      at,
      stamp: type === 'link' ? this.link(place, at, size) : this.file(place, type, at, size, modified),
    };
  }

  private file(place: string, type: 'file' | 'executable', at: number, size: number, modified: number): string {
    const descriptor = openSync(place, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, type === 'file' ? 0o644 : 0o755);
    try {
      this.read(at, size, (piece) => writeAll(descriptor, piece));
      if (this.owner !== null) fchownSync(descriptor, this.owner.uid, this.owner.gid);
      futimesSync(descriptor, modified, modified);
      return stampOf(fstatSync(descriptor, { bigint: true }));
    } finally {
      closeSync(descriptor);
    }
  }

  private link(place: string, at: number, size: number): string {
    let target = '';
    this.read(at, size, (piece) => (target += piece.toString()));
    symlinkSync(target, place);
    if (this.owner !== null) lchownSync(place, this.owner.uid, this.owner.gid);
    return stampOf(lstatSync(place, { bigint: true }));
  }

  /** Gives `take` a part of the pack in pieces that are only valid until the next one; what fits the buffer in one. */
  private read(at: number, size: number, take: (piece: Buffer) => void): void {
    for (let done = 0; done < size;) {
      const from = at + done;
      const wanted = Math.min(size - done, this.buffer.length);
      if (from < this.held.from || from + wanted > this.held.to) {
        const bytes = readSync(this.pack, this.buffer, 0, this.buffer.length, from);
        if (bytes < wanted) throw new Error('The pack of a work tree is shorter than its record says.');
        this.held = { from, to: from + bytes };
      }
      take(this.buffer.subarray(from - this.held.from, from - this.held.from + wanted));
      done += wanted;
    }
  }

  private placeOf(path: string): string {
    if (this.tree.length + path.length < NEAR) return `${this.tree}/${path}`;
    if (this.far.size >= MOST_OPEN) this.closeFar();
    const end = path.lastIndexOf('/');
    return this.folder(path.slice(0, Math.max(end, 0))).at(path.slice(end + 1));
  }

  private folder(path: string): OpenFolder {
    const open = this.far.get(path);
    if (open !== undefined) return open;
    const end = path.lastIndexOf('/');
    const folder =
      path === ''
        ? OpenFolder.root(this.tree)
        : this.folder(path.slice(0, Math.max(end, 0))).folder(path.slice(end + 1));
    if (folder === null) throw new Error('A new work tree was changed by something else.');
    this.far.set(path, folder);
    return folder;
  }

  private closeFar(): void {
    for (const folder of this.far.values()) folder.close();
    this.far.clear();
  }
}
