import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, cp, lstat, mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../../src/platform/embedded-postgres/embedded-postgres.js';
import { findPostmaster, OWNER_SETTING, processRuns } from '../../../src/platform/embedded-postgres/postmaster.js';
import { serverAccount } from '../../../src/platform/embedded-postgres/server-account.js';
import { serverBinaries } from '../../../src/platform/embedded-postgres/server-binaries.js';
import { run, spawnServer } from '../../../src/platform/embedded-postgres/server-process.js';
import { eventually } from '../../support/eventually.js';
import { temporaryFolder, type TemporaryFolder } from '../../support/servers/index.js';
import { endDatabaseProcesses, startDatabaseProcess } from './database-process.js';
import { makeCluster, type MadeCluster } from './made-cluster.js';

const asRoot = process.getuid?.() === 0;
const NOBODY = { uid: 65_534, gid: 65_534 };
const NAMELESS = { uid: 54_321, gid: 54_321 };

let made: MadeCluster;
let folder: TemporaryFolder;
let dataDir: string;
let started: EmbeddedPostgres[];
let bystanders: ChildProcess[];

const cluster = (): string => join(dataDir, 'postgres-16', 'data');

async function start(): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir });
  started.push(server);
  return server;
}

async function ask(server: EmbeddedPostgres, statement: string): Promise<unknown[]> {
  const client = new pg.Client(server.connection);
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<{ [column: string]: unknown }>(statement)).rows;
  } finally {
    await client.end();
  }
}

async function postmaster(): Promise<number> {
  const found = await findPostmaster(cluster());
  if (found === null) throw new Error('no server runs');
  return found.pid;
}

beforeAll(async () => {
  made = await makeCluster();
});
afterAll(() => made?.remove());

beforeEach(async () => {
  folder = temporaryFolder();
  await chmod(folder.path, 0o711);
  dataDir = join(folder.path, 'nova');
  started = [];
  bystanders = [];
});

afterEach(async () => {
  await endDatabaseProcesses();
  for (const child of bystanders) child.kill('SIGKILL');
  for (const server of started) await server.stop();
  folder.remove();
});

describe('an embedded PostgreSQL', () => {
  it('is made on the first start and keeps its data until the next', async () => {
    const first = await start();
    await ask(first, 'create table kept as select 42 as answer');
    await first.stop();
    const second = await start();
    expect(await ask(second, 'select answer from kept')).toEqual([{ answer: 42 }]);
  });

  it('gives the service an ordinary role, a private socket and a random password', async () => {
    const server = await start();
    expect(
      await ask(
        server,
        `select usesuper, current_setting('listen_addresses') as tcp, current_setting('fsync') as fsync,
           current_setting('data_checksums') as checksums, current_setting('server_version_num')::int / 10000 as major
         from pg_user where usename = current_user`,
      ),
    ).toEqual([{ usesuper: false, tcp: '', fsync: 'on', checksums: 'on', major: 16 }]);
    expect((await stat(server.connection.host)).mode & 0o777).toBe(0o700);
    expect((await stat(join(cluster(), 'nova.password'))).mode & 0o777).toBe(0o600);
    expect(server.connection.password).toMatch(/^[0-9a-f]{48}$/);
    const stranger = new pg.Client({ ...server.connection, password: 'guess' });
    await expect(stranger.connect()).rejects.toMatchObject({ code: '28P01' });
    expect(await readFile(`/proc/${await postmaster()}/cmdline`, 'utf8')).not.toContain(server.connection.password);
  });

  it('inherits nothing of the environment, which holds secrets', async () => {
    await made.copyTo(dataDir);
    process.env.ADMIN_SECRET = 'a secret of the service';
    try {
      await start();
      expect(await readFile(`/proc/${await postmaster()}/environ`, 'utf8')).not.toContain('ADMIN_SECRET');
    } finally {
      delete process.env.ADMIN_SECRET;
    }
  });

  it('ends when its owner is killed, and starts again at once with its data', async () => {
    const owner = startDatabaseProcess({ NOVA_DATA_DIR: dataDir });
    await owner.ready();
    const orphan = await postmaster();
    expect(await owner.end('SIGKILL')).toBeNull();
    const server = await start();
    expect(await processRuns(orphan)).toBe(false);
    expect(await ask(server, 'select count(*)::int > 0 as migrated from schema_migrations')).toEqual([
      { migrated: true },
    ]);
  });

  it('ends with the pipe to its owner where only a shell can watch over it', async () => {
    await made.copyTo(dataDir);
    const account = await serverAccount(cluster());
    const { postgres } = await serverBinaries(folder.path, account);
    const log = await open(join(folder.path, 'log'), 'a');
    // Without a network: the default port may be taken on this machine, and the server would end by itself.
    const socket = join(dataDir, 'postgres-16/socket');
    const command = [postgres, '-D', cluster(), '-k', socket, '-c', 'listen_addresses='];
    const server = await spawnServer(command, { account, log: log.fd, shell: true });
    await log.close();
    const { pid } = await eventually('the server runs', async () => {
      expect(server.failure()).toBeNull();
      return findPostmaster(cluster());
    });
    server.interrupt();
    await server.ended;
    expect(await processRuns(pid)).toBe(false);
    expect(server.failure()).toBe('it ended');
  });

  it('replaces a server that an ended process left behind', async () => {
    await made.copyTo(dataDir);
    const orphan = await startUnowned([`-c`, `${OWNER_SETTING}=1.1`]);
    const server = await start();
    expect(await processRuns(orphan)).toBe(false);
    expect(server.own).toBe(true);
    expect(await ask(server, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('starts although the pid file names a live process of the same user', async () => {
    await made.copyTo(dataDir);
    const sleeper = spawn('sleep', ['1000'], { ...(asRoot ? NOBODY : {}), stdio: 'ignore' });
    bystanders.push(sleeper);
    await writeStalePidFile(sleeper.pid ?? 0);
    expect(await ask(await start(), 'select 1 as one')).toEqual([{ one: 1 }]);
    expect(sleeper.exitCode).toBeNull();
  });

  it('starts although the killed server was never reaped', async () => {
    await made.copyTo(dataDir);
    const pid = await startUnowned([]);
    process.kill(pid, 'SIGKILL');
    await eventually('it has ended', async () => !(await processRuns(pid)));
    expect(() => process.kill(pid, 0)).not.toThrow();
    expect(await ask(await start(), 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('is shared with a service that lives, and left alone by the one that borrowed it', async () => {
    await made.copyTo(dataDir);
    const owner = startDatabaseProcess({ NOVA_DATA_DIR: dataDir });
    await owner.ready();
    const pid = await postmaster();
    const borrowed = await start();
    expect(borrowed.own).toBe(false);
    await borrowed.stop();
    expect(await postmaster()).toBe(pid);
    expect(await owner.end('SIGTERM')).toBe(0);
    expect(await processRuns(pid)).toBe(false);
  });

  it('is made once by services that start together', async () => {
    const servers = await Promise.all([start(), start(), start()]);
    expect(servers.filter(({ own }) => own)).toHaveLength(1);
    for (const server of servers) expect(await ask(server, 'select 1 as one')).toEqual([{ one: 1 }]);
    expect((await readdir(join(dataDir, 'postgres-16'))).sort()).toEqual(['data', 'server.log', 'socket']);
  });

  it('is made anew when the process died while making it', async () => {
    const owner = startDatabaseProcess({ NOVA_DATA_DIR: dataDir });
    const staging = async (): Promise<string[]> =>
      (await readdir(join(dataDir, 'postgres-16')).catch(() => [])).filter((name) => name.startsWith('init-'));
    await eventually('it is being made', async () => (await staging()).length > 0);
    await owner.end('SIGKILL');
    expect(await staging()).toHaveLength(1);
    expect(await ask(await start(), 'select 1 as one')).toEqual([{ one: 1 }]);
    expect(await staging()).toEqual([]);
  });

  it('says why it does not start, and starts when the cause is gone', async () => {
    await made.copyTo(dataDir);
    const settings = join(cluster(), 'postgresql.conf');
    const good = await readFile(settings, 'utf8');
    await writeFile(settings, `${good}\nshared_buffers = 'nonsense'\n`);
    await expect(start()).rejects.toThrow(/does not start \(.*postgresql.conf.*\)/);
    await writeFile(settings, good);
    expect(await ask(await start(), 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('keeps the path of its socket short in a deep data folder', async () => {
    dataDir = join(folder.path, 'deep'.repeat(20), 'nova');
    const first = await start();
    expect(Buffer.byteLength(`${first.connection.host}/.s.PGSQL.5432`)).toBeLessThanOrEqual(107);
    expect((await stat(first.connection.host)).mode & 0o777).toBe(0o700);
    await first.stop();
    const second = await start();
    expect(second.connection.host).toBe(first.connection.host);
    await second.stop();
    await rm(first.connection.host, { recursive: true });
  });
});

describe('the binaries', () => {
  it('get the links that an install script would have made', async () => {
    const native = await withoutLinks();
    const account = await serverAccount('/nonexistent');
    await expect(run(join(native, 'bin', 'postgres'), ['-V'], { account })).rejects.toThrow(/shared libraries/);
    const binaries = await serverBinaries(join(folder.path, 'home'), account, dirname(native));
    expect(binaries.postgres).toBe(join(native, 'bin', 'postgres'));
    expect(await run(binaries.postgres, ['-V'], { account })).toBe('');
  });

  (asRoot ? it : it.skip)('are copied to where the server may run them', async () => {
    const native = await withoutLinks();
    await chmod(native, 0o700);
    const home = join(folder.path, 'home');
    const binaries = await serverBinaries(home, NOBODY, dirname(native));
    expect(binaries.postgres.startsWith(home)).toBe(true);
    expect(await run(binaries.initdb, ['-V'], { account: NOBODY })).toBe('');
    expect(await readdir(home)).toHaveLength(1);
  });
});

(asRoot ? describe : describe.skip)('for root', () => {
  it('lives elsewhere when the server may not pass the folders above, and is found there again', async () => {
    const closed = join(folder.path, 'closed');
    await mkdir(closed, { mode: 0o700 });
    dataDir = join(closed, 'nova');
    const first = await start();
    const home = (await readFile(join(dataDir, 'postgres-16.path'), 'utf8')).trim();
    try {
      expect(home).toMatch(/^\/var\/(lib|tmp)\/nova-orchestrator/);
      await ask(first, 'create table kept as select 1 as one');
      await first.stop();
      expect(await ask(await start(), 'select one from kept')).toEqual([{ one: 1 }]);
      await started.at(-1)?.stop();
    } finally {
      await rm(dirname(home), { recursive: true, force: true });
    }
  });

  it('takes a cluster back that was restored as root', async () => {
    await made.copyTo(dataDir);
    await chown(cluster(), 0, 0);
    for (const name of await readdir(cluster())) await chown(join(cluster(), name), 0, 0);
    expect(await ask(await start(), 'select 1 as one')).toEqual([{ one: 1 }]);
    expect((await lstat(cluster())).uid).not.toBe(0);
  });

  it.each([
    ['an ordinary user', NOBODY],
    ['a user without an entry in /etc/passwd', NAMELESS],
  ])('also runs for %s', async (_, account) => {
    await mkdir(dataDir);
    await chown(dataDir, account.uid, account.gid);
    const service = startDatabaseProcess({ NOVA_DATA_DIR: dataDir }, account);
    await service.ready();
    expect((await stat(cluster())).uid).toBe(account.uid);
    // Root joins it with the account that owns the cluster.
    expect(await service.end('SIGTERM')).toBe(0);
    expect(await ask(await start(), 'select 1 as one')).toEqual([{ one: 1 }]);
  });
});

/** A server nobody watches over, whose parent never reaps it: what a killed service leaves where no signal reached it. */
async function startUnowned(settings: string[]): Promise<number> {
  const account = await serverAccount(cluster());
  const { postgres } = await serverBinaries(folder.path, account);
  const socket = join(dataDir, 'postgres-16', 'socket');
  const line = [
    '-c',
    '"$@" & exec sleep 1000',
    'sh',
    postgres,
    '-D',
    cluster(),
    '-k',
    socket,
    '-c',
    'listen_addresses=',
  ];
  const parent = spawn('/bin/sh', [...line, ...settings], { ...account, cwd: '/', stdio: 'ignore' });
  bystanders.push(parent);
  await once(parent, 'spawn');
  const ready = async (): Promise<boolean> =>
    (await readFile(join(cluster(), 'postmaster.pid'), 'utf8').catch(() => '')).includes('ready');
  await eventually('the server is ready', ready);
  return postmaster();
}

/** The pid file of a server that is gone, whose number some other process has now. */
async function writeStalePidFile(pid: number): Promise<void> {
  const path = join(cluster(), 'postmaster.pid');
  const lines = [
    pid,
    cluster(),
    1_700_000_000,
    5432,
    join(dataDir, 'postgres-16', 'socket'),
    '',
    '  1234567         0',
    'ready',
  ];
  await writeFile(path, `${lines.join('\n')}\n`);
  if (asRoot) await chown(path, NOBODY.uid, NOBODY.gid);
}

/** A copy of the installed binaries as npm leaves it when install scripts do not run. */
async function withoutLinks(): Promise<string> {
  const account = await serverAccount('/nonexistent');
  const installed = dirname(dirname((await serverBinaries(folder.path, account)).postgres));
  const native = join(folder.path, 'package', 'native');
  await cp(dirname(installed), dirname(native), {
    recursive: true,
    verbatimSymlinks: true,
    filter: async (source) => !(await lstat(source)).isSymbolicLink(),
  });
  return native;
}
