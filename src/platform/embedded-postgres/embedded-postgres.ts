import { lchown, lstat, open, readdir, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { isStartingUp, outageReason } from '../database/pg-errors.js';
import { clusterHome, type ClusterHome } from './cluster-home.js';
import { initCluster, SERVICE_ROLE } from './cluster-init.js';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import {
  disarmLockFiles,
  findPostmaster,
  identityRuns,
  OWNER_SETTING,
  PORT,
  processIdentity,
  SOCKET_NAME,
  stopPostmaster,
} from './postmaster.js';
import { serverAccount, type ServerAccount } from './server-account.js';
import { serverBinaries } from './server-binaries.js';
import { spawnServer, type ServerProcess } from './server-process.js';
import { withStartLock } from './start-lock.js';

export interface EmbeddedPostgresOptions {
  dataDir: string;
  signal?: AbortSignal;
}

/** How to reach an embedded server: a unix socket that only this user can open. */
export interface EmbeddedConnection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** A socket speaks no TLS, whatever the shell asks of other servers. */
  readonly ssl: false;
}

export interface EmbeddedPostgres {
  readonly connection: EmbeddedConnection;
  /** False when the server belongs to another live service on the same data folder. */
  readonly own: boolean;
  /** Resolves when an own server has ended, whoever ended it; never for one that is not. */
  readonly ended: Promise<void>;
  /** Stops an own server: rolls its sessions back and waits for its end. */
  stop(): Promise<void>;
}

const LOG_LIMIT = 10 * 1024 * 1024;

/**
 * Starts real PostgreSQL on the cluster of `dataDir`, which it makes when there is none. The server ends with this process,
 * however that ends. One that an ended process left is stopped first; one that a live service runs is shared.
 * @throws EmbeddedPostgresError that says why it cannot run.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { home, account } = await clusterHome(options.dataDir, serverAccount);
  return withStartLock(home.cluster, options.signal, async () => {
    const running = await findPostmaster(home.cluster);
    if (running !== null) {
      if (running.owner !== null && (await identityRuns(running.owner))) return share(home, account, options.signal);
      await stopPostmaster(running.pid);
    }
    return startOwn(home, account, options.signal);
  });
}

async function share(home: ClusterHome, account: ServerAccount, signal?: AbortSignal): Promise<EmbeddedPostgres> {
  const connection = await connectionOf(home, await home.socketFolder(account));
  const failure = async (): Promise<string | null> =>
    (await findPostmaster(home.cluster)) === null ? 'it ended' : null;
  try {
    await untilReady(connection, failure, signal);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new EmbeddedPostgresError('the embedded PostgreSQL of another process is ending', { cause: error });
  }
  return shared(connection);
}

function shared(connection: EmbeddedConnection): EmbeddedPostgres {
  return { connection, own: false, ended: new Promise(() => undefined), stop: () => Promise.resolve() };
}

async function startOwn(home: ClusterHome, account: ServerAccount, signal?: AbortSignal): Promise<EmbeddedPostgres> {
  const binaries = await serverBinaries(home.path, account);
  if (!(await home.initialised())) await initCluster(home, { binaries, account, signal });
  if (account !== null && (await lstat(home.cluster)).uid !== account.uid) await giveTree(account, home.cluster);
  const socketFolder = await home.socketFolder(account);
  const connection = await connectionOf(home, socketFolder);
  if (await answers(connection)) {
    // Its pid means nothing here: it runs in another container on the same volume.
    return shared(connection);
  }
  await disarmLockFiles(home.cluster, socketFolder);

  const settings = {
    listen_addresses: '',
    unix_socket_directories: socketFolder,
    unix_socket_permissions: '0700',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // Statements and details of failures can hold what callers sent; the log names the failure only.
    log_error_verbosity: 'terse',
    log_min_error_statement: 'panic',
    [OWNER_SETTING]: await processIdentity(process.pid),
  };
  const command = [binaries.postgres, '-D', home.cluster, '-p', String(PORT)];
  for (const [name, value] of Object.entries(settings)) command.push('-c', `${name}=${value}`);

  const { server, logStart } = await spawnLogged(command, home.log, account);
  const stop = async (): Promise<void> => {
    const postmaster = server.failure() === null ? await findPostmaster(home.cluster) : null;
    if (postmaster === null) server.interrupt();
    else await stopPostmaster(postmaster.pid);
    await server.ended;
  };
  try {
    await untilReady(connection, () => Promise.resolve(server.failure()), signal);
  } catch (error) {
    await stop();
    if (signal?.aborted) throw error;
    const reason = (await lastFault(home.log, logStart)) ?? server.failure() ?? outageReason(error);
    throw new EmbeddedPostgresError(`the embedded PostgreSQL does not start (${reason})`, { cause: error });
  }
  return { connection, own: true, ended: server.ended, stop };
}

async function connectionOf(home: ClusterHome, host: string): Promise<EmbeddedConnection> {
  const password = (await readFile(home.password, 'utf8')).trim();
  return { host, port: PORT, user: SERVICE_ROLE, password, database: SERVICE_ROLE, ssl: false };
}

/** Waits until the server lets the service in; crash recovery may take its time. @throws when `failure` tells of an end. */
async function untilReady(
  connection: EmbeddedConnection,
  failure: () => Promise<string | null>,
  signal?: AbortSignal,
): Promise<void> {
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 1.5, 200)) {
    signal?.throwIfAborted();
    const error = await connects(connection);
    if (error === null) return;
    const reason = await failure();
    if (reason !== null) throw new Error(reason);
    if (!isStartingUp(error)) throw error;
    await delay(pauseMs, undefined, { signal });
  }
}

async function connects(connection: EmbeddedConnection): Promise<Error | null> {
  const client = new pg.Client({ ...connection, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return null;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function answers(connection: EmbeddedConnection): Promise<boolean> {
  const socket = await lstat(join(connection.host, SOCKET_NAME)).catch(() => null);
  if (socket === null) return false;
  const error = await connects(connection);
  return error === null || error instanceof pg.DatabaseError;
}

/** Returns a cluster that root copied or restored to the account that runs it. */
async function giveTree(account: NonNullable<ServerAccount>, path: string): Promise<void> {
  await lchown(path, account.uid, account.gid);
  if (!(await lstat(path)).isDirectory()) return;
  for (const name of await readdir(path)) await giveTree(account, join(path, name));
}

/** Starts the server with its log appended to `path`, which moves aside once it is large. */
async function spawnLogged(
  command: readonly string[],
  path: string,
  account: ServerAccount,
): Promise<{ server: ServerProcess; logStart: number }> {
  const size = (await stat(path).catch(() => null))?.size ?? 0;
  if (size > LOG_LIMIT) await rename(path, `${path}.1`);
  const log = await open(path, 'a', 0o600);
  try {
    const logStart = (await log.stat()).size;
    return { server: await spawnServer(command, { account, log: log.fd }), logStart };
  } finally {
    await log.close();
  }
}

/** The last fault that PostgreSQL logged since `start`, without its time stamp. */
async function lastFault(path: string, start: number): Promise<string | null> {
  const text = (await readFile(path)).subarray(start).toString('utf8');
  const early = /starting up|not yet accepting/;
  const faults = text.split('\n').filter((line) => /FATAL|PANIC|error/.test(line) && !early.test(line));
  return faults.at(-1)?.replace(/^.*?(FATAL|PANIC): +/, '') ?? null;
}
