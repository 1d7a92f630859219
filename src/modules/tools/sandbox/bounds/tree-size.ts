import { closeSync, constants, lstatSync, opendirSync, openSync, type Dir } from 'node:fs';

export interface TreeSize {
  /** Bytes on the disk. */
  bytes: number;
  /** Files, folders and whatever else has a name. */
  entries: number;
}

/** A folder that a walk cannot enter, or one so deep that it would need more descriptors than there are. */
export class TreeUnreadableError extends Error {
  override readonly name = 'TreeUnreadableError';
}

const MOST_LEVELS = 128;
const SLICE = 256;

/**
 * Counts what is below `root`, giving way after every few entries. Folders are entered by descriptor: no name leads out of
 * the tree, and none is too deep for a path. Files with several names count once.
 * @throws TreeUnreadableError
 */
export function* treeSize(root: string): Generator<void, TreeSize> {
  const size: TreeSize = { bytes: 0, entries: 0 };
  const linked = new Set<string>();
  const open: { descriptor: number; entries: Dir }[] = [];
  const enter = (path: string): void => {
    if (open.length >= MOST_LEVELS) throw new TreeUnreadableError('It is too deep.');
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      open.push({ descriptor, entries: opendirSync(`/proc/self/fd/${descriptor}`) });
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  };
  const leave = (): void => {
    const last = open.pop();
    last?.entries.closeSync();
    if (last !== undefined) closeSync(last.descriptor);
  };
  try {
    entered(() => enter(root));
    for (let seen = 1; ; seen += 1) {
      const folder = open.at(-1);
      if (folder === undefined) return size;
      const entry = folder.entries.readSync();
      if (entry === null) {
        leave();
        continue;
      }
      const path = `/proc/self/fd/${folder.descriptor}/${entry.name}`;
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat === undefined) continue;
      size.entries += 1;
      const key = `${stat.dev}:${stat.ino}`;
      if (stat.isDirectory() || stat.nlink === 1 || !linked.has(key)) size.bytes += stat.blocks * 512;
      if (stat.nlink > 1 && !stat.isDirectory()) linked.add(key);
      if (stat.isDirectory()) entered(() => enter(path));
      if (seen % SLICE === 0) yield;
    }
  } catch (error) {
    throw error instanceof TreeUnreadableError
      ? error
      : new TreeUnreadableError(`It cannot be read (${String(error)}).`);
  } finally {
    while (open.length > 0) leave();
  }
}

/** What was removed or replaced while the walk went by is not there any more. */
function entered(enter: () => void): void {
  try {
    enter();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return;
    throw error;
  }
}
