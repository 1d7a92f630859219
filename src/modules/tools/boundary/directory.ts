import { randomUUID } from 'node:crypto';
import { constants, type Dirent, type PathLike, type Stats } from 'node:fs';
import {
  lchown,
  lstat,
  mkdir,
  open,
  opendir,
  readlink,
  rename,
  rmdir,
  symlink,
  unlink,
  type FileHandle,
} from 'node:fs/promises';
import { asRefusal, errorCode, PathRefusedError } from './path-refused.js';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/** Names of files that are being written. A crash leaves them behind; walks pass them over. */
const TEMPORARY = /^\.nova-[0-9a-f-]{16,36}\.tmp$/;

/** Whether `name` is one that `replaceFile` gives to a file it has not finished. */
export function isTemporaryName(name: string): boolean {
  return TEMPORARY.test(name);
}

/** A name in a folder: text, or the bytes of one that is not UTF-8. */
export type Name = string | Buffer;

export interface NewFile {
  content: Buffer | AsyncIterable<Buffer>;
  /** Also replaces a symbolic link (the link itself, not what it points to). */
  overLink?: boolean;
  /** Is on the disk, name and all, when the call returns. Default: it is when the system gets to it. */
  durable?: boolean;
  /** Permission bits. Default: those of the file it replaces, else 0644. */
  mode?: number;
  /** Refuses to replace a file that has another name too. */
  onlyName?: boolean;
  /** Called before the rename; throwing leaves everything as it was. */
  check?: (present: Stats | null) => Promise<void> | void;
  /** 16 to 36 hex digits that name the temporary file: a repeat after a crash then finds and replaces the leftover. */
  temporary?: string;
}

/**
 * An open folder below a root. Everything is done relative to its descriptor, through `/proc/self/fd/<n>/<name>` with
 * `O_NOFOLLOW`, so what a path led to when it was checked is what is used: renaming or relinking any part of the path
 * meanwhile changes nothing. Node has no `openat`; this is its equivalent. Linux only.
 */
export class Directory {
  private constructor(
    private readonly handle: FileHandle,
    /** Where the root was when it was opened. */
    private readonly root: string,
  ) {}

  private owner: { uid: number; gid: number } | undefined;

  /**
   * Opens a root. The caller vouches for `path` itself, links in it included.
   * @throws PathRefusedError when it is no folder, or this system has no `/proc`.
   */
  static async root(path: string): Promise<Directory> {
    let handle: FileHandle;
    try {
      handle = await open(path, O_RDONLY | O_DIRECTORY);
    } catch (error) {
      throw asRefusal(error, 'workspace');
    }
    try {
      return new Directory(handle, await readlink(`/proc/self/fd/${handle.fd}`));
    } catch (error) {
      await handle.close();
      throw new PathRefusedError('The file boundary cannot be enforced on this machine: /proc is not available.', {
        cause: error,
      });
    }
  }

  close(): Promise<void> {
    return this.handle.close();
  }

  /** This folder by its descriptor; stays valid until `close`. */
  get descriptorPath(): string {
    return `/proc/self/fd/${this.handle.fd}`;
  }

  /** `name` in this folder, as a path for calls that do not follow a final link. */
  at(name: Name): PathLike {
    const text = name.toString();
    if (text === '' || text === '.' || text === '..' || text.includes('/') || text.includes('\0')) {
      throw new PathRefusedError(`"${text}" is not a name.`);
    }
    const path = `${this.descriptorPath}/`;
    return typeof name === 'string' ? path + name : Buffer.concat([Buffer.from(path), name]);
  }

  /** @throws PathRefusedError when what `handle` refers to, or the root, is no longer where the root was. */
  async assertInside(handle: FileHandle = this.handle): Promise<void> {
    const place = await readlink(`/proc/self/fd/${handle.fd}`);
    const prefix = this.root === '/' ? '/' : `${this.root}/`;
    if (place !== this.root && !place.startsWith(prefix)) {
      throw new PathRefusedError('The path leads out of the workspace, or the workspace was moved meanwhile.');
    }
  }

  /** Opens the folder `name`. @throws PathRefusedError when it is a link or no folder. */
  async directory(name: Name): Promise<Directory> {
    let handle: FileHandle;
    try {
      handle = await open(this.at(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    } catch (error) {
      if (errorCode(error) === 'ENOTDIR' && (await this.stat(name))?.isSymbolicLink()) {
        throw new PathRefusedError(`"${name.toString()}" is a symbolic link, and links are not followed.`, {
          cause: error,
        });
      }
      throw asRefusal(error, name);
    }
    try {
      await this.assertInside(handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return new Directory(handle, this.root);
  }

  /** Opens the folder `name`, or gives null when it is gone, is none, or may not be entered. */
  async directoryOrNull(name: Name): Promise<Directory | null> {
    try {
      return await this.directory(name);
    } catch (error) {
      if (error instanceof PathRefusedError) return null;
      throw error;
    }
  }

  /** Opens the regular file `name` for reading; never blocks on a FIFO. @throws PathRefusedError for anything else. */
  async file(name: string): Promise<{ handle: FileHandle; stat: Stats }> {
    const before = await this.stat(name);
    if (before === null) throw new PathRefusedError(`"${name}" does not exist.`);
    refuseIrregular(name, before);
    const opened = await this.walkedFile(name);
    try {
      await this.assertInside(opened.handle);
    } catch (error) {
      await opened.handle.close();
      throw error;
    }
    return opened;
  }

  /** `file` for an entry that was just seen to be a regular file; saves two looks that walks of many files can spare. */
  async walkedFile(name: string): Promise<{ handle: FileHandle; stat: Stats }> {
    let handle: FileHandle;
    try {
      handle = await open(this.at(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    } catch (error) {
      throw asRefusal(error, name);
    }
    try {
      const stat = await handle.stat();
      refuseIrregular(name, stat);
      return { handle, stat };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /**
   * The whole content of the regular file `name`, as it was when it was opened; null when it is larger than `maxBytes`.
   * @throws PathRefusedError when it grows meanwhile.
   */
  async readFile(name: string, maxBytes: number): Promise<{ content: Buffer; stat: Stats } | null> {
    const { handle, stat } = await this.file(name);
    try {
      if (stat.size > maxBytes) return null;
      const buffer = Buffer.alloc(stat.size + 1);
      let filled = 0;
      while (filled < buffer.length) {
        const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, filled);
        if (bytesRead === 0) return { content: buffer.subarray(0, filled), stat };
        filled += bytesRead;
      }
      throw new PathRefusedError(`"${name}" is being written by something else; try again.`);
    } finally {
      await handle.close();
    }
  }

  /** What `name` is, itself: a link is not followed. Null when there is nothing. */
  async stat(name: Name): Promise<Stats | null> {
    try {
      return await lstat(this.at(name));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return null;
      throw asRefusal(error, name);
    }
  }

  /**
   * The entries in no order, read as they are asked for. Names that are not UTF-8 cannot be reached and are left out;
   * `leftOut` is called for each.
   */
  async *entries(leftOut?: () => void): AsyncGenerator<Dirent> {
    for await (const entry of await opendir(this.descriptorPath, { bufferSize: 256 })) {
      if (entry.name.includes('\uFFFD')) leftOut?.();
      else yield entry;
    }
  }

  /** `entries` for removal: names as bytes, so that nothing can hide behind a name that is not UTF-8. */
  async *rawEntries(): AsyncGenerator<{ name: Buffer; isFolder: boolean }> {
    for await (const entry of await opendir(this.descriptorPath, { bufferSize: 256, encoding: 'latin1' })) {
      yield { name: Buffer.from(entry.name, 'latin1'), isFolder: entry.isDirectory() };
    }
  }

  async linkTarget(name: string): Promise<string> {
    try {
      return await readlink(this.at(name));
    } catch (error) {
      throw asRefusal(error, name);
    }
  }

  /** Makes the folder `name` where there is nothing. */
  async makeDirectory(name: string, mode = 0o755): Promise<void> {
    await this.assertInside();
    try {
      await mkdir(this.at(name), { mode });
      await this.adopt(name);
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw asRefusal(error, name);
    }
  }

  /**
   * Puts a file of this content in the place of `name`: written to a temporary file in this folder, renamed. What
   * was there is whole until then. When the service is root, the file belongs to whom the old one, else the folder, does.
   * @throws PathRefusedError when `name` is anything but a regular file.
   */
  async replaceFile(name: string, file: NewFile): Promise<void> {
    const present = await this.stat(name);
    if (present !== null && !(file.overLink && present.isSymbolicLink())) {
      refuseIrregular(name, present);
      if (file.onlyName && present.nlink > 1) {
        throw new PathRefusedError(`"${name}" has more than one hard link; it is not written.`);
      }
    }
    const temporary = this.at(`.nova-${file.temporary ?? randomUUID()}.tmp`);
    await this.assertInside();
    if (file.temporary !== undefined) await unlinkIfPresent(temporary);
    let handle: FileHandle;
    try {
      handle = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    } catch (error) {
      throw asRefusal(error, name);
    }
    try {
      try {
        if (Buffer.isBuffer(file.content)) await handle.writeFile(file.content);
        else for await (const chunk of file.content) await handle.writeFile(chunk);
        const owner = present ?? (await this.handle.stat());
        if (process.geteuid?.() === 0) await handle.chown(owner.uid, owner.gid);
        await handle.chmod((file.mode ?? (present?.isFile() ? present.mode : 0o644)) & 0o777);
        if (file.durable) await handle.sync();
        await file.check?.(present);
        const [written, named] = [await handle.stat(), await lstat(temporary)];
        if (written.ino !== named.ino || written.dev !== named.dev)
          throw new PathRefusedError(`"${name}" is being tampered with.`);
        await this.assertInside(handle);
      } finally {
        await handle.close();
      }
      await rename(temporary, this.at(name));
      if (file.durable) await this.handle.sync();
    } catch (error) {
      await unlinkIfPresent(temporary);
      throw asRefusal(error, name);
    }
  }

  /** Puts a link in the place of `name`, which is a file, a link, or nothing. */
  async replaceLink(
    name: string,
    target: string,
    options: { temporary?: string; check?: (present: Stats | null) => Promise<void> | void } = {},
  ): Promise<void> {
    const temporaryName = `.nova-${options.temporary ?? randomUUID()}.tmp`;
    const temporary = this.at(temporaryName);
    await this.assertInside();
    await unlinkIfPresent(temporary);
    try {
      await symlink(target, temporary);
      await this.adopt(temporaryName);
      await options.check?.(await this.stat(name));
      await rename(temporary, this.at(name));
    } catch (error) {
      await unlinkIfPresent(temporary);
      throw asRefusal(error, name);
    }
  }

  /** Removes the file or link `name`; nothing there is fine. */
  async remove(name: Name): Promise<void> {
    await this.assertInside();
    try {
      await unlink(this.at(name));
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw asRefusal(error, name);
    }
  }

  /** Removes the folder `name` if it is empty. Says whether it is gone. */
  async removeDirectory(name: Name): Promise<boolean> {
    try {
      await rmdir(this.at(name));
      return true;
    } catch (error) {
      const code = errorCode(error);
      if (code === 'ENOENT') return true;
      if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR' || code === 'EBUSY') return false;
      throw asRefusal(error, name);
    }
  }

  /** When the service is root, gives the entry `name` (a link itself) to whom this folder belongs. */
  async adopt(name: string): Promise<void> {
    if (process.geteuid?.() !== 0) return;
    const { uid, gid } = (this.owner ??= await this.handle.stat());
    if (uid !== 0 || gid !== 0) await lchown(this.at(name), uid, gid);
  }
}

/**
 * Opens the folder that `segments` lead to below `root`, one component at a time, and closes everything afterwards.
 * With `create`, missing folders are made.
 * @throws PathRefusedError when a component is a link or no folder.
 */
export async function inDirectory<T>(
  root: string,
  segments: readonly string[],
  use: (directory: Directory) => Promise<T>,
  options: { create?: boolean } = {},
): Promise<T> {
  let directory = await Directory.root(root);
  try {
    for (const segment of segments) {
      if (options.create && (await directory.stat(segment)) === null) await directory.makeDirectory(segment);
      const next = await directory.directory(segment);
      await directory.close();
      directory = next;
    }
    return await use(directory);
  } finally {
    await directory.close();
  }
}

function refuseIrregular(name: string, stat: Stats): void {
  if (stat.isFile()) return;
  if (stat.isSymbolicLink()) throw new PathRefusedError(`"${name}" is a symbolic link, and links are not followed.`);
  throw new PathRefusedError(`"${name}" is ${stat.isDirectory() ? 'a folder' : 'not a regular file'}.`);
}

async function unlinkIfPresent(path: PathLike): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
