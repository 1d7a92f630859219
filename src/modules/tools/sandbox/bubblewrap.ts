import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import type { SandboxTier } from '../../../config/index.js';
import type { BoxUser } from './box-user.js';

/** Descriptors that the box's process inherits, by number. */
export interface BoxDescriptors {
  /** Of the root first, then what covers parts of it. Bound as they are: no path is looked up again that could lead elsewhere. */
  mounts: readonly BoxMount[];
  seccomp: number;
  passwd: number;
  group: number;
  /** Where bubblewrap writes the id of the box's first process. */
  info: number;
}

/** An open file or folder of the host and where it is in the box. */
export interface BoxMount {
  descriptor: number;
  at: string;
  readOnly: boolean;
}

export interface BoxPlan {
  tier: Exclude<SandboxTier, 'isolated' | 'host'>;
  /** Below /workspace, where the command starts. */
  folder: readonly string[];
  /** The service's own folders that the tier `nova` reads, by name below /nova. */
  service: readonly { name: string; path: string }[];
  /** Whether the service is root, and the command therefore another user's without a user namespace. */
  asRoot: boolean;
  user: BoxUser;
  environment: Readonly<Record<string, string>>;
  limits: BoxLimits;
  /** Seconds after which the box ends by itself, even while the service is frozen; 0 is never. */
  lifeSeconds: number;
  command: readonly string[];
}

/** `memory`, `processes` and `sockets` are of all processes together, which a watch keeps; the others of each. */
export interface BoxLimits {
  /** Bytes, of whatever kind. The kernel also holds the private memory of each process to it. */
  memory: number;
  processes: number;
  sockets: number;
  /** Bytes of one file. */
  fileSize: number;
  openFiles: number;
  cpuSeconds: number | null;
  /** Bytes of /tmp, which is memory. */
  temporary: number;
}

/**
 * Where the service is root, boxes share a user, and the kernel counts by user: what the watch lets one box have must not be
 * all that there is.
 */
const SHARING = 4;

/**
 * Last for the processor, so that what watches boxes gets its share among any number of their processes. Making a box is the
 * service's own work and is not put off.
 */
export const LAST_TO_RUN = ['/usr/bin/nice', '-n', '10'] as const;

/** Where the host keeps what /usr does not hold: links on a merged system, folders of their own elsewhere. */
const BESIDE_USR = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];

/** Public parts of /etc without which programs are not found: links to the chosen ones, the linker's cache. */
const PUBLIC_ETC = ['/etc/alternatives', '/etc/ld.so.cache', '/etc/ssl/certs', '/etc/ca-certificates'];

/**
 * What bubblewrap is told for one command: options, which go to it by a descriptor since environments may hold secrets and
 * every user of a machine can read argument lists, and the command with what prepares it. Everything not named here is not in the box: it starts from nothing. What is
 * mounted later covers what is mounted earlier; the root, /dev and /proc become read-only last: by /proc a process
 * could leave its place in the order in which the kernel takes memory back.
 */
export function bubblewrapArguments(plan: BoxPlan, fd: BoxDescriptors): { options: string[]; command: string[] } {
  const { limits, user } = plan;
  const options = ['--unshare-ipc', '--unshare-pid', '--unshare-net', '--unshare-uts', '--unshare-cgroup-try'];
  if (!plan.asRoot) options.push('--unshare-user', '--uid', `${user.uid}`, '--gid', `${user.gid}`, '--disable-userns');
  options.push('--hostname', 'nova', '--die-with-parent', '--new-session', '--clearenv', '--cap-drop', 'ALL');
  // For the switch to the box's user, which gives them up.
  if (plan.asRoot) for (const name of ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP']) options.push('--cap-add', name);
  options.push('--seccomp', `${fd.seccomp}`, '--info-fd', `${fd.info}`);
  for (const [name, value] of Object.entries(plan.environment)) options.push('--setenv', name, value);

  options.push('--ro-bind', '/usr', '/usr');
  for (const path of BESIDE_USR) options.push(...besideUsr(path));
  for (const path of ['/etc', '/etc/ssl', '/nova', '/run', '/run/nova']) options.push('--perms', '0755', '--dir', path);
  for (const path of PUBLIC_ETC) options.push('--ro-bind-try', path, path);
  options.push('--perms', '0444', '--ro-bind-data', `${fd.passwd}`, '/etc/passwd');
  options.push('--perms', '0444', '--ro-bind-data', `${fd.group}`, '/etc/group');
  options.push('--proc', '/proc', '--dev', '/dev');
  for (const path of ['/dev/shm', '/tmp'])
    options.push('--perms', '1777', '--size', `${limits.temporary}`, '--tmpfs', path);
  for (const { descriptor, at, readOnly } of fd.mounts) {
    options.push(readOnly ? '--ro-bind-fd' : '--bind-fd', `${descriptor}`, at);
  }
  if (plan.tier === 'nova') for (const { name, path } of plan.service) options.push('--ro-bind', path, `/nova/${name}`);
  for (const path of ['/dev', '/proc', '/']) options.push('--remount-ro', path);
  options.push('--chdir', ['/workspace', ...plan.folder].join('/'));

  const command: string[] = [];
  if (plan.asRoot) {
    command.push('/usr/bin/setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups');
    command.push('--inh-caps=-all', '--ambient-caps=-all', '--bounding-set=-all', '--');
  }
  command.push(
    '/usr/bin/prlimit',
    `--data=${limits.memory}`,
    `--nproc=${limits.processes * (plan.asRoot ? SHARING : 1)}`,
    `--fsize=${limits.fileSize}`,
  );
  command.push(`--nofile=${limits.openFiles}`, `--cpu=${limits.cpuSeconds ?? 'unlimited'}`, '--core=0', '--');
  command.push(...LAST_TO_RUN, '/usr/bin/timeout', '--signal=KILL', `${plan.lifeSeconds}`);
  return { options, command: [...command, ...plan.command] };
}

function besideUsr(path: string): string[] {
  if (!existsSync(path)) return [];
  return lstatSync(path).isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--ro-bind', path, path];
}

/** `/etc/passwd` and `/etc/group` of a box: its one user. */
export function accounts({ uid, gid }: BoxUser): { passwd: string; group: string } {
  return { passwd: `nova:x:${uid}:${gid}:nova:/tmp:/bin/sh\n`, group: `nova:x:${gid}:\n` };
}
