import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SERVICE_ROOT } from '../../../src/modules/tools/sandbox/service-folders.js';
import { scratch } from './sandbox-folder.js';

const ROUNDS = 50;
const AT_ONCE = 5;

/** Ways in which a command tries to outlive its worker; MARK is the argument that tells its processes. */
const FLIGHTS: Record<string, string> = {
  'a daemon of its own session': 'setsid sleep MARK & sleep MARK & sleep MARK',
  'a double fork': '(setsid sh -c "(sleep MARK &) ; sleep MARK" &) ; sleep MARK',
  'deaf children': '(trap "" TERM HUP INT QUIT; setsid nohup sleep MARK >/dev/null 2>&1 & sleep MARK) & sleep MARK',
  'a loop of forks':
    'while :; do setsid sleep MARK & sleep 0.05; [ $(ls /proc | grep -c "^[0-9]") -gt 100 ] && wait; done',
  'stopped children': 'sleep MARK & one=$!; setsid sleep MARK & sleep 0.3; kill -STOP $one $!; sleep MARK',
};

/** A worker of the built service that runs one command and is frozen or killed meanwhile. */
const WORKER = `
  import 'reflect-metadata';
  const at = process.argv[1];
  const { Sandbox } = await import(at + '/dist/modules/tools/sandbox/sandbox.js');
  const { HealthIndicators } = await import(at + '/dist/platform/health/health-indicators.js');
  const { AppConfig } = await import(at + '/dist/config/app-config.js');
  const [, , root, script] = process.argv;
  const sandbox = new Sandbox(AppConfig.from({ NOVA_WORKSPACE: root, NOVA_DATA_DIR: root + '-data' }), new HealthIndicators());
  const timeoutMs = Number(process.argv[4]);
  await sandbox.run({ tier: 'workspace', network: false, root, command: ['/bin/sh', '-c', script] }, { timeoutMs, signal: new AbortController().signal });
`;

let folder: string;
let remove: () => Promise<void>;
const workers: ChildProcess[] = [];

beforeEach(async () => {
  ({ path: folder, remove } = await scratch());
});
afterEach(async () => {
  for (const child of workers.splice(0)) child.kill('SIGKILL');
  await remove();
});

/** Ids of the processes that have `word` among their arguments; what has ended and waits to be reaped has none. */
function processesWith(word: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(word);
    } catch {
      return false;
    }
  });
}

async function until(what: () => boolean): Promise<void> {
  const deadline = performance.now() + 40_000;
  while (!what() && performance.now() < deadline) await delay(50);
  expect(what()).toBe(true);
}

/** Starts a worker and resolves when its command and what that left behind run. */
async function worker(marker: string, flight: string, timeoutMs: number): Promise<ChildProcess> {
  const workspace = join(folder, marker);
  mkdirSync(workspace);
  chmodSync(workspace, 0o777);
  const script = `touch begun; ${flight.replaceAll('MARK', marker)}`;
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', WORKER, SERVICE_ROOT, workspace, script, `${timeoutMs}`],
    { cwd: SERVICE_ROOT, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  workers.push(child);
  await until(() => existsSync(join(workspace, 'begun')) && processesWith(marker).length >= 3);
  return child;
}

it(`leaves no command behind when its worker is killed, ${ROUNDS} times of ${ROUNDS}`, async () => {
  const flights = Object.values(FLIGHTS);
  const round = async (number: number): Promise<void> => {
    const marker = `${94_000 + number}${process.pid}`;
    const child = await worker(marker, flights[number % flights.length] ?? '', 600_000);
    child.kill('SIGKILL');
    // What outlived it would stay for a day.
    await until(() => processesWith(marker).length === 0);
    rmSync(join(folder, marker), { recursive: true });
  };
  for (let first = 0; first < ROUNDS; first += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => round(first + index)));
  }
}, 600_000);

it('ends a command in time although the worker is frozen', async () => {
  const marker = `95000${process.pid}`;
  // Long enough for the command and its children to be seen before.
  const child = await worker(marker, FLIGHTS['deaf children'] ?? '', 6_000);
  child.kill('SIGSTOP');
  try {
    await until(() => processesWith(marker).filter((pid) => Number(pid) !== child.pid).length === 0);
  } finally {
    child.kill('SIGKILL');
  }
});
