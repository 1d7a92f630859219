import { dirname } from 'node:path';
import type { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import { makeFolder } from '../../../platform/folders/index.js';
import { execFile, homeOr, killGroup, spawn, type ChildProcess } from '../../../platform/processes/index.js';

const execute = promisify(execFile);

export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** What the admin gave it; nothing else but PATH, HOME and LANG is in its environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Where it starts. Made when it is missing. */
  readonly folder: string;
  /** Does without a namespace, as on machines where none can be made. */
  readonly watchdog?: boolean;
}

/** A started child and how its descendants are reached. */
export interface McpProcess {
  readonly child: ChildProcess;
  /** Ends it and everything that it started. */
  readonly kill: () => void;
  /** Why the sandbox ended it; null where it did not. */
  readonly why?: () => Promise<string | null>;
}

const NAMESPACE = ['--pid', '--fork', '--kill-child=KILL', '--mount-proc'];

/**
 * Kills its own process group as soon as descriptor 3, whose other end the service holds, is closed: when the service lets
 * go of the server, and when it dies in whatever way.
 */
const WATCHDOG = '(read -r _ <&3; kill -KILL 0) </dev/null >/dev/null 2>&1 & exec 3<&-; exec "$@"';

/**
 * Starts a stdio server in a process group of its own, so that it and its descendants end with it, with the service's
 * letting go of it and with the service, even one that is killed: in a pid namespace where one can be made, by a watchdog
 * over the process group elsewhere (which a descendant that leaves the group escapes). For the main thread only, to which
 * the kernel ties the child.
 * @throws what `spawn` emits when there is no such program.
 */
export async function startServerProcess(server: ServerCommand): Promise<McpProcess> {
  await makeFolder(server.folder, 0o700);
  const prefix = server.watchdog === true ? null : await namespacePrefix();
  const command = [server.command, ...server.args];
  const [program = '', ...args] =
    prefix === null ? ['/bin/sh', '-c', WATCHDOG, 'sh', ...command] : [...prefix, ...command];
  const child = spawn(program, args, {
    cwd: server.folder,
    env: { ...baseEnvironment(server.folder), ...server.env },
    detached: true,
    stdio: prefix === null ? ['pipe', 'pipe', 'pipe', 'pipe'] : ['pipe', 'pipe', 'pipe'],
  });
  const lifeline = child.stdio[3] as Duplex | undefined;
  lifeline?.on('error', () => undefined);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  return {
    child,
    kill: () => {
      killGroup(child);
      lifeline?.destroy();
    },
  };
}

function baseEnvironment(folder: string): Record<string, string> {
  return {
    PATH: `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME: homeOr(folder),
    LANG: 'C.UTF-8',
  };
}

let prefix: Promise<readonly string[] | null> | undefined;

/** What makes a command the first process of a pid namespace that ends with the service; null where that cannot be had. */
function namespacePrefix(): Promise<readonly string[] | null> {
  prefix ??= (async () => {
    const user = process.geteuid?.() === 0 ? [] : ['--user', '--map-current-user'];
    const args = ['--pdeathsig', 'KILL', '--', 'unshare', ...user, ...NAMESPACE, '--'];
    try {
      await execute('setpriv', [...args, 'true'], { env: baseEnvironment('/'), timeout: 5_000 });
      return ['setpriv', ...args];
    } catch {
      // The machine may have been short of something; the next server asks again.
      prefix = undefined;
      return null;
    }
  })();
  return prefix;
}
