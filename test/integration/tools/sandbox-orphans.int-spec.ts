import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SERVICE_ROOT } from '../../../src/modules/tools/sandbox/service-folders.js';
import { scratch } from './sandbox-folder.js';

const ROUNDS = 10;

/** A worker of the built service that runs one command and is frozen or killed meanwhile. */
const WORKER = `
  import 'reflect-metadata';
  const at = process.argv[1];
  const { Sandbox } = await import(at + '/dist/modules/tools/sandbox/sandbox.js');
  const { HealthIndicators } = await import(at + '/dist/platform/health/health-indicators.js');
  const { AppConfig } = await import(at + '/dist/config/app-config.js');
  const [, , root, marker] = process.argv;
  const sandbox = new Sandbox(AppConfig.from({ NOVA_WORKSPACE: root, NOVA_DATA_DIR: root + '-data' }), new HealthIndicators());
  const script = 'setsid sleep ' + marker + ' & (trap "" TERM HUP INT; setsid sleep ' + marker + ') & touch begun; sleep ' + marker;
  const timeoutMs = Number(process.argv[4]);
  await sandbox.run({ tier: 'workspace', network: false, root, command: ['/bin/sh', '-c', script] }, { timeoutMs, signal: new AbortController().signal });
`;

let folder: string;
let workspace: string;
let remove: () => Promise<void>;

beforeEach(async () => {
  ({ path: folder, remove } = await scratch());
  workspace = join(folder, 'workspace');
  mkdirSync(workspace);
  chmodSync(workspace, 0o777);
});
afterEach(() => remove());

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
  const deadline = performance.now() + 20_000;
  while (!what() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(what()).toBe(true);
}

/** Starts a worker and resolves when its command runs. */
async function worker(marker: string, timeoutMs: number): Promise<ReturnType<typeof spawn>> {
  rmSync(join(workspace, 'begun'), { force: true });
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', WORKER, SERVICE_ROOT, workspace, marker, `${timeoutMs}`],
    { cwd: SERVICE_ROOT, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  await until(() => existsSync(join(workspace, 'begun')) && processesWith(marker).length >= 3);
  return child;
}

it(`leaves no command behind when the worker is killed, ${ROUNDS} times of ${ROUNDS}`, async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const marker = `${94_000 + round}${process.pid}`;
    const child = await worker(marker, 600_000);
    child.kill('SIGKILL');
    await until(() => processesWith(marker).filter((pid) => Number(pid) !== child.pid).length === 0);
  }
});

it('ends a command in time although the worker is frozen', async () => {
  const marker = `95000${process.pid}`;
  const child = await worker(marker, 1_000);
  child.kill('SIGSTOP');
  try {
    await until(() => processesWith(marker).filter((pid) => Number(pid) !== child.pid).length === 0);
  } finally {
    child.kill('SIGKILL');
  }
});
