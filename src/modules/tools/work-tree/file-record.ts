import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Directory } from '../boundary/directory.js';
import { PathRefusedError } from '../boundary/path-refused.js';
import { walkTree, type EntryKind } from '../boundary/tree-walk.js';
import type { TreeBudget } from './tree-budget.js';

/** As git sees a file: of the permission bits only whether it is executable counts. */
export type FileType = 'file' | 'executable' | 'link';

/** What one path holds. The content of a link is its target. */
export interface FileRecord {
  type: FileType;
  sha256: string;
  /** Bytes. */
  size: number;
}

/** Every file and link of a tree by its relative path; folders stand in it only as parts of paths. */
export type Manifest = ReadonlyMap<string, FileRecord>;

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

export function fileType(stat: Stats): FileType {
  return (stat.mode & 0o100) === 0 ? 'file' : 'executable';
}

export function linkRecord(target: string): FileRecord {
  return { type: 'link', sha256: createHash('sha256').update(target).digest('hex'), size: Buffer.byteLength(target) };
}

/** What `name` holds; null when there is nothing, or neither a file nor a link. */
export async function recordOf(
  directory: Directory,
  name: string,
  kind: EntryKind,
  budget?: TreeBudget,
): Promise<FileRecord | null> {
  try {
    if (kind === 'link') return linkRecord(await directory.linkTarget(name));
    if (kind !== 'file') return null;
    const opened = await directory.walkedFile(name);
    try {
      budget?.grow(opened.stat.size);
      const hash = createHash('sha256');
      let size = 0;
      for await (const chunk of chunksOf(opened)) {
        hash.update(chunk);
        size += chunk.length;
      }
      return { type: fileType(opened.stat), sha256: hash.digest('hex'), size };
    } finally {
      await opened.handle.close();
    }
  } catch (error) {
    if (error instanceof PathRefusedError) return null;
    throw error;
  }
}

/** Reads and hashes everything below `directory` but `.git`. */
export async function manifestOf(directory: Directory, budget: TreeBudget, signal?: AbortSignal): Promise<Manifest> {
  const manifest = new Map<string, FileRecord>();
  for await (const { path, name, parent, kind } of walkTree(directory, { signal })) {
    if (kind === 'folder') continue;
    budget.charge(0);
    const record = await recordOf(parent, name, kind, budget);
    if (record !== null) manifest.set(path, record);
  }
  return manifest;
}

export function sameRecord(a: FileRecord | null | undefined, b: FileRecord | null | undefined): boolean {
  return (a ?? null) === (b ?? null) || (!!a && !!b && a.type === b.type && a.sha256 === b.sha256);
}
