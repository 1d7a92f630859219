import { chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { serverAccount } from '../../../src/platform/embedded-postgres/server-account.js';
import { tied } from '../../../src/platform/embedded-postgres/server-process.js';
import { freePort } from './free-port.js';
import type { TestPostgres } from './postgres.js';
import { needProgram } from './system-program.js';
import { temporaryFolder } from './temporary-folder.js';
import { untilItAnswers } from './until-it-answers.js';

export interface PgBouncerOptions {
  mode: 'session' | 'transaction' | 'statement';
  /** Further lines of its section `[pgbouncer]`. */
  settings?: Record<string, string>;
}

/** A private PgBouncer in front of a test's PostgreSQL. */
export interface TestPgBouncer {
  /** Connection string of a database behind it. */
  readonly url: (database?: string) => string;
  stop(): Promise<void>;
}

/** Starts Debian's PgBouncer on a free port of 127.0.0.1. @throws Error that names what to install. */
export async function startPgBouncer(server: TestPostgres, options: PgBouncerOptions): Promise<TestPgBouncer> {
  const program = needProgram('pgbouncer', 'pgbouncer');
  const folder = temporaryFolder();
  const account = await serverAccount(server.socketFolder);
  const port = await freePort();
  const { username, password } = new URL(server.url());
  const users = join(folder.path, 'users.txt');
  const file = join(folder.path, 'pgbouncer.ini');
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: String(port),
    unix_socket_dir: '',
    auth_type: 'scram-sha-256',
    auth_file: users,
    pool_mode: options.mode,
    ...options.settings,
  };
  await writeFile(users, `"${username}" "${decodeURIComponent(password)}"\n`);
  await writeFile(
    file,
    `[databases]\n* = host=${server.socketFolder} port=5432\n[pgbouncer]\n${Object.entries(settings)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join('')}`,
  );
  if (account !== null) for (const path of [folder.path, users, file]) await chown(path, account.uid, account.gid);
  const [command = '', ...args] = await tied('KILL', [program, file]);
  const child = spawn(command, args, { ...account, cwd: '/', detached: true, stdio: 'ignore' });
  const exited = once(child, 'exit');
  const url = (database = 'postgres'): string => `postgresql://${username}:${password}@127.0.0.1:${port}/${database}`;
  await untilItAnswers('PgBouncer', url(), () =>
    child.exitCode !== null || child.signalCode !== null ? 'it ended at once' : null,
  );
  return {
    url,
    stop: async () => {
      child.kill('SIGKILL');
      await exited;
      folder.remove();
    },
  };
}
