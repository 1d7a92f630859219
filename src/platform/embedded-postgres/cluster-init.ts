import { randomBytes } from 'node:crypto';
import { chmod, chown, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterHome } from './cluster-home.js';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import { namedUid, type ServerAccount } from './server-account.js';
import type { ServerBinaries } from './server-binaries.js';
import { ProgramError, run, tied } from './server-process.js';

/** The role and the database of the service. The role is no superuser. */
export const SERVICE_ROLE = 'nova';

export interface InitOptions {
  binaries: ServerBinaries;
  account: ServerAccount;
  signal?: AbortSignal | undefined;
}

/**
 * Makes the cluster of `home` with the service's role, its random password and its database. It is made aside and appears by
 * one rename, so that a process that dies on the way leaves nothing a later start could take for a cluster.
 */
export async function initCluster(home: ClusterHome, options: InitOptions): Promise<void> {
  await home.removeStaging();
  const staging = await home.staging(options.account);
  try {
    const made = join(staging, 'data');
    await initdb(made, options);
    const password = randomBytes(24).toString('hex');
    const statements = [
      `create role ${SERVICE_ROLE} login password '${password}'`,
      `create database ${SERVICE_ROLE} owner ${SERVICE_ROLE}`,
    ];
    const command = [options.binaries.postgres, '--single', '-D', made, 'postgres'];
    const stderr = await named(options, command, `${statements.join('\n')}\n`);
    // The single-user server ends well even when a statement failed.
    if (/ERROR|FATAL|PANIC/.test(stderr)) throw new ProgramError('the role of the service could not be made', stderr);
    const file = join(made, 'nova.password');
    await writeFile(file, password, { mode: 0o600, flush: true });
    if (options.account !== null) await chown(file, options.account.uid, options.account.gid);
    await rename(made, home.cluster);
  } finally {
    // Programs that were told to end may write for a moment yet; the next start removes what is left.
    await rm(staging, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
  }
}

/**
 * Runs initdb into `folder`: scram passwords only, checksums, UTF-8, a superuser `postgres` whose random password
 * nobody keeps. Systems without the locale C.UTF-8 get C.
 */
async function initdb(folder: string, options: InitOptions): Promise<void> {
  const passwordFile = `${folder}.password`;
  await writeFile(passwordFile, randomBytes(24).toString('hex'), { mode: 0o600 });
  if (options.account !== null) await chown(passwordFile, options.account.uid, options.account.gid);
  const args = ['-D', folder, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`];
  args.push('-E', 'UTF8', '--data-checksums', '--no-instructions');
  const command = [options.binaries.initdb, ...args];
  try {
    await named(options, [...command, '--locale=C.UTF-8']);
  } catch (error) {
    if (!(error instanceof ProgramError) || !/invalid locale/.test(error.stderr)) throw error;
    await named(options, [...command, '--locale=C']);
  }
  await chmod(folder, 0o700);
  await rm(passwordFile);
}

/**
 * Runs one of PostgreSQL's programs. Where this user has no entry in /etc/passwd, which they insist on, it runs in a user
 * namespace that shows them a uid with one; on the disk everything belongs to this user all the same.
 */
async function named(options: InitOptions, command: readonly string[], input = ''): Promise<string> {
  const attempt = async (line: readonly string[]): Promise<string> => {
    const [program = '', ...args] = await tied('KILL', line);
    return run(program, args, { account: options.account, input, signal: options.signal });
  };
  try {
    return await attempt(command);
  } catch (error) {
    if (!(error instanceof ProgramError) || !/could not look up effective user ID/.test(error.stderr)) throw error;
    const uid = await namedUid();
    if (uid === null)
      throw new EmbeddedPostgresError('this user has no entry in /etc/passwd, which PostgreSQL needs', {
        cause: error,
      });
    const shown = ['unshare', '--user', `--map-user=${uid}`, `--map-group=${uid}`, '--', ...command];
    return attempt(shown).catch((fault: unknown) => {
      throw new EmbeddedPostgresError(
        'this user has no entry in /etc/passwd, which PostgreSQL needs; add one or set DATABASE_URL',
        {
          cause: fault,
        },
      );
    });
  }
}
