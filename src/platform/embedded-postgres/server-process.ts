import type { Socket } from 'node:net';
import { promisify } from 'node:util';
import { execFile, spawn, type StdioOptions } from '../processes/index.js';
import type { ServerAccount } from './server-account.js';

const execute = promisify(execFile);

/** PostgreSQL's programs get no variable of the service, whose environment holds secrets. */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', TZ: 'UTC' };

/** A program that did not end well. The message is its last line on stderr. */
export class ProgramError extends Error {
  override readonly name = 'ProgramError';
  constructor(
    message: string,
    readonly stderr: string,
  ) {
    super(message);
  }
}

export interface RunOptions {
  account: ServerAccount;
  input?: string;
  cwd?: string;
  signal?: AbortSignal | undefined;
}

/** Runs a program to its end and returns what it wrote to stderr. @throws ProgramError */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<string> {
  const running = execute(command, [...args], {
    ...options.account,
    cwd: options.cwd ?? '/',
    env: ENVIRONMENT,
    signal: options.signal,
    maxBuffer: 16 * 1024 * 1024,
  });
  // A program that ends without reading its input makes the pipe fail; its exit status tells the story.
  running.child.stdin?.on('error', () => undefined);
  running.child.stdin?.end(options.input ?? '');
  try {
    return (await running).stderr;
  } catch (error) {
    const stderr = String((error as { stderr?: string }).stderr ?? '');
    const last = stderr.trim().split('\n').at(-1);
    throw new ProgramError(last || (error instanceof Error ? error.message : 'unknown'), stderr);
  }
}

/**
 * The command line that makes `command` receive `signal` when this process ends, however it ends; without `setpriv` the
 * command itself. The kernel ties it to the spawning thread, so it is for the main thread only.
 */
export async function tied(signal: 'INT' | 'KILL', command: readonly string[]): Promise<readonly string[]> {
  return (await hasDeathSignal()) ? ['setpriv', '--pdeathsig', signal, '--', ...command] : command;
}

let deathSignal: Promise<boolean> | undefined;

function hasDeathSignal(): Promise<boolean> {
  deathSignal ??= run('setpriv', ['--pdeathsig', 'INT', '--', 'true'], { account: null }).then(
    () => true,
    () => false,
  );
  return deathSignal;
}

/**
 * A shell that ends `"$@"` as soon as descriptor 3, whose other end this process holds, is closed. It interrupts until the
 * server is gone: what a shell starts in the background ignores SIGINT until it has a handler of its own.
 */
const WATCHDOG = `"$@" 3<&- & server=$!
(read -r _ <&3; while kill -INT "$server" 2>/dev/null; do sleep 1; done) & watcher=$!
exec 3<&-
wait "$server"; code=$?
kill "$watcher" 2>/dev/null
exit "$code"`;

/** A started server program. */
export interface ServerProcess {
  /** Resolves when it has ended or could not be started. */
  readonly ended: Promise<void>;
  /** Why it does not run; null while it does. */
  failure(): string | null;
  /** Tells it to end, whatever state it is in. */
  interrupt(): void;
}

/**
 * Starts a server that is interrupted when this process ends, however that happens, and that a Ctrl-C in the terminal does
 * not reach. Where `setpriv` is missing, or with `shell`, a shell watches over it. Both outputs go to `log`.
 */
export async function spawnServer(
  command: readonly string[],
  options: { account: ServerAccount; log: number; shell?: boolean },
): Promise<ServerProcess> {
  const bound = options.shell ? command : await tied('INT', command);
  const watched = bound === command;
  const [program = '', ...args] = watched ? ['/bin/sh', '-c', WATCHDOG, 'sh', ...command] : bound;
  const stdio: StdioOptions = ['ignore', options.log, options.log, ...(watched ? ['pipe' as const] : [])];
  const child = spawn(program, args, { ...options.account, cwd: '/', env: ENVIRONMENT, detached: true, stdio });
  const lifeline = child.stdio[3] as Socket | undefined;
  lifeline?.on('error', () => undefined);
  let failure: string | null = null;
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      failure ??= 'it ended';
      resolve();
    });
    child.once('error', (error: NodeJS.ErrnoException) => {
      failure ??= error.code ?? 'it could not be started';
      resolve();
    });
  });
  return {
    ended,
    failure: () => failure,
    interrupt: () => (lifeline === undefined ? child.kill('SIGINT') : lifeline.destroy()),
  };
}
