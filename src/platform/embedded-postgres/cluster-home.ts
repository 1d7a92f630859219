import { createHash, randomBytes } from 'node:crypto';
import { chmod, chown, lstat, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '../folders/index.js';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import { SOCKET_NAME } from './postmaster.js';
import type { ServerAccount } from './server-account.js';
import { run } from './server-process.js';

/** The server's major version; it names the cluster's folder, so that another one never opens it. */
const MAJOR_VERSION = 16;

/** Bytes that a socket's path may have, without the terminating one. */
const SOCKET_PATH_LIMIT = 107;

/** The folder that holds one data folder's cluster, and what lies in it. */
export class ClusterHome {
  constructor(readonly path: string) {}

  /** PostgreSQL's own data folder. */
  get cluster(): string {
    return join(this.path, 'data');
  }

  /** The password of the service's role, readable by its owner only; inside the cluster, so that both appear at once. */
  get password(): string {
    return join(this.cluster, 'nova.password');
  }

  get log(): string {
    return join(this.path, 'server.log');
  }

  /** Whether an initialised cluster is here. */
  async initialised(): Promise<boolean> {
    return exists(this.password);
  }

  /** Removes what an initialisation that was cut short left. Call only while no other process can start this cluster. */
  async removeStaging(): Promise<void> {
    for (const name of await readdir(this.path)) {
      if (name.startsWith(STAGING)) {
        await rm(join(this.path, name), { recursive: true, force: true, maxRetries: 3 });
      }
    }
  }

  /** A new empty folder beside the cluster, owned by `account`. */
  async staging(account: ServerAccount): Promise<string> {
    return owned(await mkdtemp(join(this.path, STAGING)), account);
  }

  /**
   * A private folder for the server's socket: below the home where its path is short enough, else one with a random name in
   * the folder for temporary files, which a file notes so that the next start uses the same one.
   */
  async socketFolder(account: ServerAccount): Promise<string> {
    const inside = join(this.path, 'socket');
    if (Buffer.byteLength(join(inside, SOCKET_NAME)) <= SOCKET_PATH_LIMIT) {
      await makeFolder(inside, 0o700);
      return owned(inside, account);
    }
    const note = join(this.path, 'socket-folder');
    const noted = (await readFile(note, 'utf8').catch(() => '')).trim();
    const found = noted === '' ? null : await lstat(noted).catch(() => null);
    const uid = account?.uid ?? process.getuid?.();
    if (found?.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0) return noted;
    const base = [tmpdir(), '/tmp'].find((path) => Buffer.byteLength(path) < 60) ?? '/tmp';
    const made = await owned(await mkdtemp(join(base, 'nova-')), account);
    await writeFile(note, `${made}\n`);
    return made;
  }
}

const STAGING = 'init-';

async function owned(folder: string, account: ServerAccount): Promise<string> {
  if (account !== null) await chown(folder, account.uid, account.gid);
  await chmod(folder, 0o700);
  return folder;
}

/**
 * Where the cluster of this data folder is: inside it, or, when the server's account cannot reach it there, in a folder of its
 * own below /var/lib or /var/tmp, which a file in the data folder notes.
 * @param accountOf the account that would run the cluster found at a path
 * @throws EmbeddedPostgresError when no place can be used.
 */
export async function clusterHome(
  dataDir: string,
  accountOf: (cluster: string) => Promise<ServerAccount>,
): Promise<{ home: ClusterHome; account: ServerAccount }> {
  // Passing through is all the server's account needs; what is private in the data folder has its own mode.
  await makeFolder(dataDir, process.getuid?.() === 0 ? 0o711 : 0o700).catch(unusable(dataDir));
  const name = `postgres-${MAJOR_VERSION}`;
  const inside = new ClusterHome(join(await realpath(dataDir), name));
  const note = join(dataDir, `${name}.path`);

  const noted = (await readFile(note, 'utf8').catch(() => '')).trim();
  const account = await accountOf(inside.cluster);
  if (noted === '' && ((await inside.initialised()) || (await reaches(account, dataDir)))) {
    await makeFolder(inside.path).catch(unusable(dataDir));
    await chmod(inside.path, 0o711);
    if (!(await reaches(account, inside.path))) {
      throw new EmbeddedPostgresError(
        `uid ${account?.uid} cannot reach the cluster in ${inside.path}; let others pass its parent folders`,
      );
    }
    return { home: inside, account };
  }
  const home = new ClusterHome(noted === '' ? await elsewhere(inside.path, name) : noted);
  await makeFolder(home.path, 0o711);
  await writeFile(note, `${home.path}\n`).catch(unusable(dataDir));
  return { home, account: await accountOf(home.cluster) };
}

/** Whether `account` can enter `folder`. Asking the kernel covers every parent, access lists and mount options. */
async function reaches(account: ServerAccount, folder: string): Promise<boolean> {
  if (account === null) return true;
  return run('/bin/sh', ['-c', 'cd "$0"', folder], { account }).then(
    () => true,
    () => false,
  );
}

async function elsewhere(path: string, name: string): Promise<string> {
  const hash = createHash('sha256').update(path).digest('hex').slice(0, 16);
  try {
    const folder = join('/var/lib/nova-orchestrator', hash, name);
    await makeFolder(folder, 0o711);
    return folder;
  } catch {
    // Anyone may write to /var/tmp, so the name cannot be guessed; the note in the data folder tells it.
    const folder = join('/var/tmp', `nova-orchestrator-${randomBytes(8).toString('hex')}`);
    await mkdir(folder, { mode: 0o711 });
    return join(folder, name);
  }
}

function unusable(dataDir: string) {
  return (error: NodeJS.ErrnoException): never => {
    throw new EmbeddedPostgresError(
      `the data folder ${dataDir} cannot be used (${error.code ?? 'unknown'}); set NOVA_DATA_DIR`,
      {
        cause: error,
      },
    );
  };
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
