import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Directory } from '../boundary/directory.js';
import { PathRefusedError } from '../boundary/path-refused.js';
import type { EntryKind } from '../boundary/tree-walk.js';

/** As git sees a file: of the permission bits only whether it is executable counts. */
export type FileType = 'file' | 'executable' | 'link';

/** What one path holds. The content of a link is its target. */
export interface FileRecord {
  type: FileType;
  sha256: string;
  /** Bytes. */
  size: number;
  /** Of what a base holds: where its content begins in the pack. */
  at?: number;
}

const CHUNK_BYTES = 128 * 1024;

/** The content of an open file, in pieces that are only valid until the next one. A small file takes a single read. */
export async function* chunksOf({ handle, stat }: { handle: FileHandle; stat: Stats }): AsyncGenerator<Buffer> {
  const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, stat.size + 1));
  for (;;) {
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, null);
    if (bytesRead > 0) yield chunk.subarray(0, bytesRead);
    if (bytesRead < chunk.length) return;
  }
}

/** The content of the file, or the target of the link, `name`; null when it is larger than `maxBytes`. */
export async function contentOf(directory: Directory, name: string, maxBytes: number): Promise<Buffer | null> {
  if ((await directory.stat(name))?.isSymbolicLink()) return Buffer.from(await directory.linkTarget(name));
  return (await directory.readFile(name, maxBytes))?.content ?? null;
}

export function linkRecord(target: string): FileRecord {
  return { type: 'link', sha256: createHash('sha256').update(target).digest('hex'), size: Buffer.byteLength(target) };
}

/** What `name` holds; null when there is nothing, or neither a file nor a link. */
export async function recordOf(directory: Directory, name: string, kind: EntryKind): Promise<FileRecord | null> {
  try {
    if (kind === 'link') return linkRecord(await directory.linkTarget(name));
    if (kind !== 'file') return null;
    const opened = await directory.walkedFile(name);
    try {
      const hash = createHash('sha256');
      let size = 0;
      for await (const chunk of chunksOf(opened)) {
        hash.update(chunk);
        size += chunk.length;
      }
      const type = (opened.stat.mode & 0o100) === 0 ? 'file' : 'executable';
      return { type, sha256: hash.digest('hex'), size };
    } finally {
      await opened.handle.close();
    }
  } catch (error) {
    if (error instanceof PathRefusedError) return null;
    throw error;
  }
}

export function sameRecord(a: FileRecord | null | undefined, b: FileRecord | null | undefined): boolean {
  return (a ?? null) === (b ?? null) || (!!a && !!b && a.type === b.type && a.sha256 === b.sha256);
}
