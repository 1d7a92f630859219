import { execFile, spawn, spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { temporaryFolder, type TemporaryFolder } from '../../test/support/servers/index.js';
import { tied } from '../../src/platform/embedded-postgres/server-process.js';

const execute = promisify(execFile);

const MIB = 256;
const INSIDE = 'TORTURE_DISK';
/** Linux refuses to make a disk unwritable while a file is open for writing. */
const TRIES = 100;

/** A folder that the rig can fill up and make unwritable, where it may mount; else a plain one. */
export interface RigDisk {
  readonly path: string;
  /** Why its faults are left out; null where they are not. */
  readonly leftOut: string | null;
  /** Uses up all its bytes. */
  fill(): Promise<void>;
  empty(): Promise<void>;
  /** False when it could not be. */
  makeUnwritable(): Promise<boolean>;
  makeWritable(): Promise<void>;
  remove(): void;
}

/**
 * Runs this program again, out of reach of the terminal's Ctrl-C, which would end its servers under it, and where it may mount
 * in a mount namespace of its own: a disk that it makes there is gone with its last process, however it ends.
 * @returns the exit code of that run; null in it.
 */
export async function runApart(): Promise<number | null> {
  if (process.env[INSIDE] !== undefined) return null;
  const apart = ['--mount', '--propagation', 'private', '--'];
  const trial = [...apart, 'sh', '-c', 'mount -t tmpfs none /tmp'];
  const mayMount = process.getuid?.() === 0 && spawnSync('unshare', trial).status === 0;
  const folder = temporaryFolder();
  const { execArgv, argv, execPath } = process;
  const again = [...(mayMount ? ['unshare', ...apart] : []), execPath, ...execArgv, ...argv.slice(1)];
  const [command = '', ...args] = await tied('KILL', again);
  const env = { ...process.env, [INSIDE]: mayMount ? folder.path : '' };
  const child = spawn(command, args, { stdio: 'inherit', detached: true, env });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void child.kill(signal));
  const code = await new Promise<number>((resolve) => child.once('exit', (exit) => resolve(exit ?? 1)));
  folder.remove();
  return code;
}

/** The disk for the workspace and the data folder. */
export async function rigDisk(): Promise<RigDisk> {
  const mountPoint = process.env[INSIDE];
  if (mountPoint === undefined || mountPoint === '') return plainFolder(temporaryFolder());
  await execute('mount', ['-t', 'tmpfs', '-o', `size=${MIB}m,mode=755`, 'torture', mountPoint]);
  return mountedDisk(mountPoint);
}

function plainFolder(folder: TemporaryFolder): RigDisk {
  const nothing = (): Promise<never> => Promise.reject(new Error('A plain folder has no faults.'));
  return {
    path: folder.path,
    leftOut: 'a full disk and an unwritable folder need the right to mount',
    fill: nothing,
    empty: nothing,
    makeUnwritable: nothing,
    makeWritable: nothing,
    remove: () => folder.remove(),
  };
}

function mountedDisk(path: string): RigDisk {
  const ballast = join(path, 'ballast');
  mkdirSync(path, { recursive: true });
  return {
    path,
    leftOut: null,
    fill: async () => {
      const file = await open(ballast, 'w');
      const piece = randomFillSync(Buffer.alloc(1024 * 1024));
      try {
        for (let length = piece.length; length > 0;) {
          try {
            await file.write(piece, 0, length);
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
            length = length === 4_096 ? 0 : 4_096;
          }
        }
      } finally {
        await file.close();
      }
    },
    empty: () => rm(ballast, { force: true }),
    makeUnwritable: async () => {
      for (let tries = 0; tries < TRIES; tries += 1) {
        const isDone = await execute('mount', ['-o', 'remount,ro', path]).then(
          () => true,
          () => false,
        );
        if (isDone) return true;
        await delay(5);
      }
      return false;
    },
    makeWritable: () => execute('mount', ['-o', 'remount,rw', path]).then(() => undefined),
    remove: () => void spawnSync('umount', ['--lazy', path]),
  };
}
