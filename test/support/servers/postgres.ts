import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { findPostmaster } from '../../../src/platform/embedded-postgres/postmaster.js';
import { serverAccount, type ServerAccount } from '../../../src/platform/embedded-postgres/server-account.js';
import { serverBinaries, type ServerBinaries } from '../../../src/platform/embedded-postgres/server-binaries.js';
import { run, spawnServer, type ServerProcess } from '../../../src/platform/embedded-postgres/server-process.js';
import { temporaryFolder } from './temporary-folder.js';
import { untilItAnswers } from './until-it-answers.js';

export interface PostgresOptions {
  /** 16 (default) is the embedded one; 15 is the system's, where it is installed. */
  major?: 15 | 16;
  /** Off by default: a test kills processes, not machines. */
  fsync?: boolean;
  /** Further settings of the server. */
  settings?: Record<string, string>;
}

/** A private PostgreSQL server that a test may stop, kill and freeze. Its superuser is `postgres`. */
export interface TestPostgres {
  /** Connection string of a database on it; `postgres` when no name is given. */
  url(database?: string): string;
  /** Folder of the unix socket, for proxies; the port is 5432. */
  readonly socketFolder: string;
  readonly pid: number;
  /** Starts it again on the same data and socket. */
  start(): Promise<void>;
  /** Ends it and waits: `fast` rolls sessions back, `immediate` is a crash that the next start recovers from. */
  halt(mode?: 'fast' | 'immediate'): Promise<void>;
  /** Freezes the postmaster: new connections hang. */
  pause(): void;
  resume(): void;
  /** Ends it for good and removes its data. */
  stop(): Promise<void>;
}

/** Names in the folder of a server. */
const CLUSTER = 'data';
const PASSWORD = 'password';

const DEBIAN_15 = '/usr/lib/postgresql/15/bin';

/** Whether `startPostgres({ major: 15 })` works on this machine. */
export const hasPostgres15 = existsSync(join(DEBIAN_15, 'initdb'));

/** Starts a server of its own for the caller, in a temporary folder, reachable by unix socket only. */
export async function startPostgres(options: PostgresOptions = {}): Promise<TestPostgres> {
  const folder = temporaryFolder();
  // The server's account passes through; nobody else's business is in here.
  await chmod(folder.path, 0o711);
  const account = await serverAccount(join(folder.path, 'data'));
  const binaries: ServerBinaries =
    options.major === 15
      ? { initdb: join(DEBIAN_15, 'initdb'), postgres: join(DEBIAN_15, 'postgres') }
      : await serverBinaries(folder.path, account);

  const home = join(folder.path, 'pg');
  const cluster = join(home, CLUSTER);
  const template = options.major === 15 ? undefined : process.env['NOVA_TEST_CLUSTER'];
  // Owners are part of a cluster, and Node's own copying keeps none.
  if (template) await run('cp', ['-a', template, home], { account: null });
  else await makeCluster(home, binaries, account);
  const password = await readFile(join(home, PASSWORD), 'utf8');

  const settings: Record<string, string> = {
    listen_addresses: '',
    unix_socket_directories: home,
    max_connections: '200',
    timezone: 'UTC',
    ...(options.fsync ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
    ...options.settings,
  };
  const command = [binaries.postgres, '-D', cluster];
  for (const [name, value] of Object.entries(settings)) command.push('-c', `${name}=${value}`);

  const url = (database = 'postgres'): string =>
    `postgresql://postgres:${password}@localhost/${database}?host=${encodeURIComponent(home)}`;
  let server: ServerProcess | null = null;
  let pid = 0;

  const start = async (): Promise<void> => {
    const log = await open(join(home, 'server.log'), 'a');
    try {
      server = await spawnServer(command, { account, log: log.fd });
    } finally {
      await log.close();
    }
    await untilItAnswers('PostgreSQL', url(), () => server?.failure() ?? null);
    pid = (await findPostmaster(cluster))?.pid ?? 0;
  };
  const halt = async (mode: 'fast' | 'immediate' = 'fast'): Promise<void> => {
    if (server === null || server.failure() !== null) return;
    process.kill(pid, 'SIGCONT');
    process.kill(pid, mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await server.ended;
  };
  await start();
  return {
    url,
    socketFolder: home,
    get pid() {
      return pid;
    },
    start,
    halt,
    pause: () => void process.kill(pid, 'SIGSTOP'),
    resume: () => void process.kill(pid, 'SIGCONT'),
    stop: async () => {
      await halt('immediate');
      folder.remove();
    },
  };
}

/** Makes the cluster that every server of a test run is a copy of, in `home`, which must not be there yet. */
export async function makeClusterTemplate(home: string): Promise<void> {
  const account = await serverAccount(join(home, CLUSTER));
  await makeCluster(home, await serverBinaries(dirname(home), account), account);
}

/** Makes a new cluster in `home`, and beside it a file with its superuser's password. */
async function makeCluster(home: string, { initdb }: ServerBinaries, account: ServerAccount): Promise<void> {
  const passwordFile = join(home, PASSWORD);
  await mkdir(home, { mode: 0o700 });
  await writeFile(passwordFile, randomBytes(12).toString('hex'), { mode: 0o600 });
  if (account !== null) for (const path of [home, passwordFile]) await chown(path, account.uid, account.gid);
  const args = ['-D', join(home, CLUSTER), '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`];
  await run(initdb, [...args, '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'], { account });
}
