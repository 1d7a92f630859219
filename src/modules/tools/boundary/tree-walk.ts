import { randomUUID } from 'node:crypto';
import { constants, type Dirent, type Stats } from 'node:fs';
import { chmod, open, rename } from 'node:fs/promises';
import { isTemporaryName, type Directory, type Name } from './directory.js';
import { errorCode, PathRefusedError } from './path-refused.js';
import { isGitName } from './relative-path.js';

/** Folders inside folders; each level holds a descriptor while it is walked. */
const MAX_DEPTH = 64;

/** Linux's number; Node does not name it. */
const O_PATH = 0o10000000;

export interface WalkEntry {
  /** Relative, with `/`. */
  path: string;
  kind: EntryKind;
}

/** What an entry is, itself: a link is not followed. */
export type EntryKind = 'file' | 'folder' | 'link' | 'other';

export function entryKind(entry: Dirent | Stats): EntryKind {
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'folder';
  return entry.isSymbolicLink() ? 'link' : 'other';
}

export interface WalkOptions {
  /** Entries for which this is false are passed over, and not entered. */
  include?: (path: string, isFolder: boolean) => boolean;
  /** Also what is named `.git`. Default: it is passed over. */
  git?: boolean;
  signal?: AbortSignal;
}

/**
 * Everything below `directory`: folders before what is in them, else in no order. Links are reported and not followed.
 * What vanishes meanwhile is passed over; unfinished temporary files are too.
 * @throws PathRefusedError when folders are nested too deeply.
 */
export async function* walkTree(
  directory: Directory,
  options: WalkOptions = {},
  prefix = '',
  depth = 0,
): AsyncGenerator<WalkEntry> {
  if (depth > MAX_DEPTH) throw new PathRefusedError(`Folders are nested more than ${MAX_DEPTH} deep.`);
  for await (const entry of directory.entries()) {
    const { name } = entry;
    options.signal?.throwIfAborted();
    if (isTemporaryName(name) || (!options.git && isGitName(name))) continue;
    const kind = entryKind(entry);
    const path = prefix + name;
    if (options.include?.(path, kind === 'folder') === false) continue;
    yield { path, kind };
    if (kind !== 'folder') continue;
    const inner = await directory.directoryOrNull(name);
    if (inner === null) continue;
    try {
      yield* walkTree(inner, options, `${path}/`, depth + 1);
    } finally {
      await inner.close();
    }
  }
}

/**
 * Removes `name` and all below it, however deep, never through a link, also while something else writes there. Says
 * whether it is gone: what keeps writing can keep it from going.
 */
export async function removeTree(directory: Directory, name: string): Promise<boolean> {
  for (let attempt = 0; attempt < 3; attempt++) {
    const stat = await directory.stat(name);
    if (stat === null) return true;
    if (!stat.isDirectory()) {
      await directory.remove(name);
      continue;
    }
    const inner = await enter(directory, name);
    if (inner === null) continue;
    try {
      await empty(inner, directory, 0);
    } finally {
      await inner.close();
    }
    if (await directory.removeDirectory(name)) return true;
  }
  return false;
}

/** Removes what is in `directory`. What lies too deep is moved up to `top` first and removed from there. */
async function empty(directory: Directory, top: Directory, depth: number): Promise<void> {
  for await (const entry of directory.rawEntries()) {
    if (!entry.isFolder) {
      await directory.remove(entry.name);
      continue;
    }
    if (depth >= MAX_DEPTH) {
      const moved = `.dropped-${randomUUID()}`;
      await rename(directory.at(entry.name), top.at(moved));
      await removeTree(top, moved);
      continue;
    }
    const inner = await enter(directory, entry.name);
    if (inner === null) continue;
    try {
      await empty(inner, top, depth + 1);
    } finally {
      await inner.close();
    }
    await directory.removeDirectory(entry.name);
  }
}

/** Opens a folder to empty it, giving the service the rights to first where a tool took them away. */
async function enter(directory: Directory, name: Name): Promise<Directory | null> {
  const { O_DIRECTORY, O_NOFOLLOW } = constants;
  if (process.geteuid?.() !== 0) {
    try {
      const place = await open(directory.at(name), O_PATH | O_DIRECTORY | O_NOFOLLOW);
      try {
        if (((await place.stat()).mode & 0o700) !== 0o700) await chmod(`/proc/self/fd/${place.fd}`, 0o700);
      } finally {
        await place.close();
      }
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      if (errorCode(error) === 'EACCES') return null;
    }
  }
  return directory.directoryOrNull(name);
}
