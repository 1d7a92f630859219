import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { tied } from '../../../src/platform/embedded-postgres/server-process.js';
import { freePort } from './free-port.js';
import { needProgram } from './system-program.js';
import { temporaryFolder } from './temporary-folder.js';
import { eventually } from '../eventually.js';

export interface RedisOptions {
  /** Lines of redis.conf as arguments, for example `['--maxmemory', '2mb']`. */
  args?: string[];
}

/** A private Redis server, always on the same port of 127.0.0.1, that a test may kill, restart and freeze. */
export interface TestRedis {
  /** Connection string of database 2. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Starts it again, empty. */
  start(): Promise<void>;
  /** Ends it by SIGKILL and waits. Nothing was ever saved. */
  kill(): Promise<void>;
  /** `kill` and `start`. */
  restart(): Promise<void>;
  /** Freezes it: connections stay open and nothing answers. */
  pause(): void;
  resume(): void;
  /** Ends it for good. */
  stop(): Promise<void>;
}

/** Starts a server of its own for the caller: no persistence, loopback only, a free port. */
export async function startRedis(options: RedisOptions = {}): Promise<TestRedis> {
  const program = needProgram('redis-server', 'redis-server');
  const folder = temporaryFolder();
  const port = await freePort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const command = await tied('KILL', [program, ...args, '--dir', folder.path, ...(options.args ?? [])]);
  let child: ChildProcess;

  const start = async (): Promise<void> => {
    child = spawn(command[0] ?? '', command.slice(1), { cwd: '/', detached: true, stdio: 'ignore' });
    await untilItAnswers(port, child);
  };
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  await start();
  return {
    url: `redis://127.0.0.1:${port}/2`,
    port,
    get pid() {
      return child.pid ?? 0;
    },
    start,
    kill,
    restart: async () => {
      await kill();
      await start();
    },
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    stop: async () => {
      await kill();
      folder.remove();
    },
  };
}

function untilItAnswers(port: number, child: ChildProcess): Promise<unknown> {
  return eventually(`redis-server on port ${port} answers`, () => {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`redis-server on port ${port} ended at once`);
    return pongs(port);
  });
}

function pongs(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    const done = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1_000, () => done(false));
    socket.once('error', () => done(false));
    socket.once('connect', () => socket.write('PING\r\n'));
    socket.once('data', (data) => done(data.toString().startsWith('+PONG')));
  });
}
