import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import type { SandboxTier } from '../../../config/index.js';
import type { BoxUser } from './box-user.js';

/** Descriptors that the box's process inherits, by number. */
export interface BoxDescriptors {
  root: number;
  seccomp: number;
  passwd: number;
  group: number;
}

export interface BoxPlan {
  tier: Exclude<SandboxTier, 'isolated' | 'host'>;
  /** Absolute; only for a bubblewrap that cannot bind by descriptor. */
  root: string;
  bindByDescriptor: boolean;
  /** Below /workspace, where the command starts. */
  folder: readonly string[];
  /** Paths below /workspace that are read-only in it. */
  readOnly: readonly string[];
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

/** Per process, but for `processes`, which counts all of the box. */
export interface BoxLimits {
  /** Bytes of private memory. */
  memory: number;
  processes: number;
  /** Bytes of one file. */
  fileSize: number;
  openFiles: number;
  cpuSeconds: number | null;
  /** Bytes of /tmp, which is memory. */
  temporary: number;
}

/** Where the host keeps what /usr does not hold: links on a merged system, folders of their own elsewhere. */
const BESIDE_USR = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];

/** Public parts of /etc without which programs are not found: links to the chosen ones, the linker's cache. */
const PUBLIC_ETC = ['/etc/alternatives', '/etc/ld.so.cache', '/etc/ssl/certs', '/etc/ca-certificates'];

/**
 * The arguments of bubblewrap for one command. Everything not named here is not in the box: it starts from nothing. What is
 * mounted later covers what is mounted earlier; the root and /dev become read-only last.
 */
export function bubblewrapArguments(plan: BoxPlan, fd: BoxDescriptors): string[] {
  const { limits, user } = plan;
  const args = ['--unshare-ipc', '--unshare-pid', '--unshare-net', '--unshare-uts', '--unshare-cgroup-try'];
  if (!plan.asRoot) args.push('--unshare-user', '--uid', `${user.uid}`, '--gid', `${user.gid}`, '--disable-userns');
  args.push('--hostname', 'nova', '--die-with-parent', '--new-session', '--clearenv', '--cap-drop', 'ALL');
  // For the switch to the box's user, which gives them up.
  if (plan.asRoot) for (const name of ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP']) args.push('--cap-add', name);
  args.push('--seccomp', `${fd.seccomp}`);
  for (const [name, value] of Object.entries(plan.environment)) args.push('--setenv', name, value);

  args.push('--ro-bind', '/usr', '/usr');
  for (const path of BESIDE_USR) args.push(...besideUsr(path));
  for (const path of ['/etc', '/etc/ssl', '/nova']) args.push('--perms', '0755', '--dir', path);
  for (const path of PUBLIC_ETC) args.push('--ro-bind-try', path, path);
  args.push('--perms', '0444', '--ro-bind-data', `${fd.passwd}`, '/etc/passwd');
  args.push('--perms', '0444', '--ro-bind-data', `${fd.group}`, '/etc/group');
  args.push('--proc', '/proc', '--dev', '/dev');
  for (const path of ['/dev/shm', '/tmp'])
    args.push('--perms', '1777', '--size', `${limits.temporary}`, '--tmpfs', path);
  args.push(...(plan.bindByDescriptor ? ['--bind-fd', `${fd.root}`] : ['--bind', plan.root]), '/workspace');
  for (const path of plan.readOnly) args.push('--ro-bind-try', `${plan.root}/${path}`, `/workspace/${path}`);
  if (plan.tier === 'nova') for (const { name, path } of plan.service) args.push('--ro-bind', path, `/nova/${name}`);
  args.push('--remount-ro', '/dev', '--remount-ro', '/', '--chdir', ['/workspace', ...plan.folder].join('/'), '--');

  if (plan.asRoot) {
    args.push('/usr/bin/setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups');
    args.push('--inh-caps=-all', '--ambient-caps=-all', '--bounding-set=-all', '--');
  }
  args.push('/usr/bin/prlimit', `--data=${limits.memory}`, `--nproc=${limits.processes}`, `--fsize=${limits.fileSize}`);
  args.push(`--nofile=${limits.openFiles}`, `--cpu=${limits.cpuSeconds ?? 'unlimited'}`, '--core=0', '--');
  // The kernel ends the box before anything of the host when memory runs out.
  args.push('/usr/bin/choom', '-n', '1000', '--');
  args.push('/usr/bin/timeout', '--signal=KILL', `${plan.lifeSeconds}`);
  return [...args, ...plan.command];
}

function besideUsr(path: string): string[] {
  if (!existsSync(path)) return [];
  return lstatSync(path).isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--ro-bind', path, path];
}

/** `/etc/passwd` and `/etc/group` of a box: its one user. */
export function accounts({ uid, gid }: BoxUser): { passwd: string; group: string } {
  return { passwd: `nova:x:${uid}:${gid}:nova:/tmp:/bin/sh\n`, group: `nova:x:${gid}:\n` };
}
