import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SERVICE_ROOT } from '../../src/modules/tools/sandbox/service-folders.js';
import { eventually } from './eventually.js';

/** Ways in which a command tries to outlive its worker; MARK is the argument that tells its processes. */
export const FLIGHTS: Readonly<Record<string, string>> = {
  'a daemon of its own session': 'setsid sleep MARK & sleep MARK & sleep MARK',
  'a double fork': '(setsid sh -c "(sleep MARK &) ; sleep MARK" &) ; sleep MARK',
  'deaf children': '(trap "" TERM HUP INT QUIT; setsid nohup sleep MARK >/dev/null 2>&1 & sleep MARK) & sleep MARK',
  'a loop of forks': 'n=0; while :; do setsid sleep MARK & sleep 0.05; n=$((n + 1)); [ $n -gt 50 ] && wait; done',
  'stopped children': 'sleep MARK & one=$!; setsid sleep MARK & sleep 0.3; kill -STOP $one $!; sleep MARK',
};

/** A worker that runs one command in the sandbox of the built service. */
const CONFINED = `
  import 'reflect-metadata';
  const [, at, root, script, timeoutMs] = process.argv;
  const { Sandbox } = await import(at + '/dist/modules/tools/sandbox/sandbox.js');
  const { AppConfig } = await import(at + '/dist/config/app-config.js');
  const sandbox = new Sandbox(AppConfig.from({ NOVA_WORKSPACE: root, NOVA_DATA_DIR: root + '-data' }));
  await sandbox.run(
    { tier: 'workspace', network: false, root, command: ['/bin/sh', '-c', script] },
    { owner: 'test', timeoutMs: Number(timeoutMs), signal: new AbortController().signal },
  );
`;
/** A worker that runs one command without it; the shell is told by the marker too. */
const BARE = `
  import { spawn } from 'node:child_process';
  import { basename } from 'node:path';
  const [, , root, script] = process.argv;
  spawn('/bin/sh', ['-c', script, basename(root)], { cwd: root, stdio: 'ignore' });
`;

export interface Flight {
  /** Tells the command's processes; a number, since `sleep` takes it. */
  marker: string;
  /** One of `FLIGHTS`. */
  script: string;
  /** Its workspace is made in there. */
  folder: string;
  timeoutMs: number;
  confined?: boolean;
}

/** Starts a worker as a process of its own; resolves when its command and what that left behind run. */
export async function startFleeing({
  marker,
  script,
  folder,
  timeoutMs,
  confined = true,
}: Flight): Promise<ChildProcess> {
  const workspace = join(folder, marker);
  mkdirSync(workspace);
  chmodSync(workspace, 0o777);
  const marked = `touch begun; ${script.replaceAll('MARK', marker)}`;
  const args = [
    '--input-type=module',
    '-e',
    confined ? CONFINED : BARE,
    SERVICE_ROOT,
    workspace,
    marked,
    `${timeoutMs}`,
  ];
  const child = spawn(process.execPath, args, { cwd: SERVICE_ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    await eventually(
      'the command runs',
      () => existsSync(join(workspace, 'begun')) && processesWith(marker).length >= 3,
    );
    return child;
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

/** Ids of the processes that have `word` among their arguments; what has ended and waits to be reaped has none. */
export function processesWith(word: string): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(word) ? [pid] : [];
    } catch {
      return [];
    }
  });
}
