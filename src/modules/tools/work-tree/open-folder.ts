import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  type BigIntStats,
  type Dirent,
} from 'node:fs';
import { errorCode } from '../boundary/path-refused.js';
import type { EntryKind } from '../boundary/tree-walk.js';

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/** Characters of a path that the system takes whole, in any alphabet; what is deeper goes by an open folder. */
export const NEAR = 1_000;

/** What a walk passes over: it is gone, is something else by now, or may not be read. */
const PASSED_OVER = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'EPERM', 'ENXIO', 'ENODEV', 'ENAMETOOLONG']);

/** Whether an error of the file system says that there is nothing here for a walk, and not that the machine fails. */
export function isPassedOver(error: unknown): boolean {
  return PASSED_OVER.has(errorCode(error) ?? '');
}

/**
 * `Directory` for worker threads: an open folder below a root, used without waiting. Everything is relative to its descriptor
 * and follows no link, so that nothing that is renamed or linked meanwhile leads a walk out of its root.
 */
export class OpenFolder {
  private constructor(
    readonly descriptor: number,
    private readonly root: string,
  ) {}

  /** Opens a root; the caller vouches for `path`. @throws the file system's error. */
  static root(path: string): OpenFolder {
    const descriptor = openSync(path, O_RDONLY | O_DIRECTORY);
    return new OpenFolder(descriptor, readlinkSync(`/proc/self/fd/${descriptor}`));
  }

  close(): void {
    closeSync(this.descriptor);
  }

  /** Where the folder is now. */
  get path(): string {
    return readlinkSync(`/proc/self/fd/${this.descriptor}`);
  }

  /** `name` in this folder, for calls that do not follow a final link. */
  at(name: string): string {
    return `/proc/self/fd/${this.descriptor}/${name}`;
  }

  /** The folder `name`; null when it is none, may not be entered, or has been moved out of the root. */
  folder(name: string): OpenFolder | null {
    let descriptor: number;
    try {
      descriptor = openSync(this.at(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    } catch (error) {
      if (isPassedOver(error)) return null;
      throw error;
    }
    const folder = new OpenFolder(descriptor, this.root);
    const { path } = folder;
    if (path.startsWith(this.root === '/' ? '/' : `${this.root}/`)) return folder;
    folder.close();
    return null;
  }

  /** A descriptor of the regular file `name`, or null; never waits on a FIFO. The caller closes it. */
  file(name: string): number | null {
    try {
      return openSync(this.at(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    } catch (error) {
      if (isPassedOver(error)) return null;
      throw error;
    }
  }

  /** What `name` is, itself; null for nothing. */
  stat(name: string): BigIntStats | null {
    try {
      return lstatSync(this.at(name), { bigint: true });
    } catch (error) {
      if (isPassedOver(error)) return null;
      throw error;
    }
  }

  /** The target of the link `name`; null when it is none. */
  linkTarget(name: string): string | null {
    try {
      return readlinkSync(this.at(name));
    } catch (error) {
      if (isPassedOver(error) || errorCode(error) === 'EINVAL') return null;
      throw error;
    }
  }

  /** The real path of `name`, links followed; null when it leads nowhere. */
  realPath(name: string): string | null {
    try {
      return realpathSync(this.at(name));
    } catch {
      return null;
    }
  }

  /** What is in the folder, in no order; names that are not UTF-8 cannot be reached and are left out. */
  entries(): { name: string; kind: EntryKind }[] {
    return readdirSync(`/proc/self/fd/${this.descriptor}`, { withFileTypes: true })
      .filter(({ name }) => !name.includes('\uFFFD'))
      .map((entry) => ({ name: entry.name, kind: kindOf(entry) }));
  }
}

/** Uses a folder that may be absent, and closes it. */
export function within<T>(folder: OpenFolder | null, use: (folder: OpenFolder) => T): T | null {
  if (folder === null) return null;
  try {
    return use(folder);
  } finally {
    folder.close();
  }
}

function kindOf(entry: Dirent): EntryKind {
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'folder';
  return entry.isSymbolicLink() ? 'link' : 'other';
}
