import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';

/** A running PostgreSQL server of one cluster. */
export interface Postmaster {
  readonly pid: number;
  /** The service process it runs for (see `processIdentity`); null when it was started by something else. */
  readonly owner: string | null;
}

/** The setting that names the owner; PostgreSQL accepts unknown settings with a prefix, and the command line shows it. */
export const OWNER_SETTING = 'nova.owner';

/** Larger than any process id of the kernel. */
const NO_PROCESS = 2_147_483_646;

/** The port is only part of the socket's name: the server listens on no network. */
export const PORT = 5432;
export const SOCKET_NAME = `.s.PGSQL.${PORT}`;

interface ProcessStat {
  readonly state: string;
  readonly startTicks: string;
}

/** /proc tells zombies from the living, which `kill(pid, 0)` does not. */
async function processStat(pid: number): Promise<ProcessStat | null> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The second field is the command in parentheses and may itself hold blanks and parentheses.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', startTicks: fields[19] ?? '' };
  } catch {
    if (process.platform === 'linux') return null;
    try {
      process.kill(pid, 0);
      return { state: 'S', startTicks: '' };
    } catch {
      return null;
    }
  }
}

/** Whether the process runs; one that ended and was not reaped does not. */
export async function processRuns(pid: number): Promise<boolean> {
  const stat = await processStat(pid);
  return stat !== null && stat.state !== 'Z' && stat.state !== 'X';
}

/** `pid.start` of a process: never that of another process of this boot, although process ids are used again. */
export async function processIdentity(pid: number): Promise<string> {
  return `${pid}.${(await processStat(pid))?.startTicks ?? ''}`;
}

/** Whether the process that an identity names still runs. */
export async function identityRuns(identity: string): Promise<boolean> {
  const pid = Number(identity.split('.')[0]);
  return (await processRuns(pid)) && (await processIdentity(pid)) === identity;
}

/**
 * The live server of the cluster, as its pid file tells and /proc confirms; null when there is none. A pid file can outlive
 * its server, and its number can belong to an unrelated process by now.
 */
export async function findPostmaster(clusterFolder: string): Promise<Postmaster | null> {
  const pid = await recordedPid(clusterFolder);
  if (pid === null || !(await processRuns(pid))) return null;
  // Elsewhere the file in which the server notes its command line has to do; it may be that of an earlier one for a moment.
  const opts = (): Promise<string> => readFile(join(clusterFolder, 'postmaster.opts'), 'utf8');
  if (process.platform !== 'linux') return { pid, owner: ownerIn((await opts().catch(() => '')).split('"')) };
  const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
  return args[args.indexOf('-D') + 1] === clusterFolder ? { pid, owner: ownerIn(args) } : null;
}

function ownerIn(args: readonly string[]): string | null {
  return args.find((arg) => arg.startsWith(`${OWNER_SETTING}=`))?.slice(OWNER_SETTING.length + 1) ?? null;
}

/**
 * Makes the lock files of a server that is gone harmless: the pid file and the one beside the socket. PostgreSQL refuses to start
 * when the number in them belongs to any process of the same user, or to one that nobody reaped. Only the number is
 * replaced: the rest lets PostgreSQL see whether orphaned backends still use the shared memory. Call only while no
 * other process can start this cluster.
 */
export async function disarmLockFiles(clusterFolder: string, socketFolder: string): Promise<void> {
  for (const path of [join(clusterFolder, 'postmaster.pid'), join(socketFolder, `${SOCKET_NAME}.lock`)]) {
    const text = await readFile(path, 'utf8').catch(() => null);
    if (text !== null) await writeFile(path, text.replace(/^-?\d+/, String(NO_PROCESS)));
  }
}

async function recordedPid(clusterFolder: string): Promise<number | null> {
  const text = await readFile(join(clusterFolder, 'postmaster.pid'), 'utf8').catch(() => '');
  const pid = Math.abs(Number.parseInt(text, 10));
  return Number.isInteger(pid) && pid > 0 && pid !== NO_PROCESS ? pid : null;
}

/** Ends a server: its sessions are rolled back at once; one that does not end in time is told to crash-stop. */
export async function stopPostmaster(pid: number): Promise<void> {
  for (const [signal, graceMs] of [
    ['SIGINT', 10_000],
    ['SIGQUIT', 10_000],
  ] as const) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EPERM')
        throw new EmbeddedPostgresError('the running server belongs to another user');
    }
    const deadline = performance.now() + graceMs;
    while (performance.now() < deadline) {
      if (!(await processRuns(pid))) return;
      await delay(10);
    }
  }
  throw new EmbeddedPostgresError('the running server does not stop');
}
