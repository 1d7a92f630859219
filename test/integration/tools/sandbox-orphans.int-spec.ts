/** @needs bwrap */
import { afterEach, beforeEach, it } from '@jest/globals';
import type { ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../support/eventually.js';
import { FLIGHTS, processesWith, startFleeing } from '../../support/fleeing-commands.js';
import { scratch } from './sandbox-folder.js';

const ROUNDS = 50;
const AT_ONCE = 5;

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

async function worker(marker: string, script: string, timeoutMs: number): Promise<ChildProcess> {
  const child = await startFleeing({ marker, script, folder, timeoutMs });
  workers.push(child);
  return child;
}

it(`leaves no command behind when its worker is killed, ${ROUNDS} times of ${ROUNDS}`, async () => {
  const flights = Object.values(FLIGHTS);
  const round = async (number: number): Promise<void> => {
    const marker = `${94_000 + number}${process.pid}`;
    const child = await worker(marker, flights[number % flights.length] ?? '', 600_000);
    child.kill('SIGKILL');
    // What outlived it would stay for a day.
    await eventually('all of it is gone', () => processesWith(marker).length === 0);
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
    await eventually('all of it is gone', () => processesWith(marker).every((pid) => Number(pid) === child.pid));
  } finally {
    child.kill('SIGKILL');
  }
});
