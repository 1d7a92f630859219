/**
 * How long commands outlive their worker when that is killed with SIGKILL: 50 workers, one after the other, whose commands try
 * to stay, in the sandbox and beside it without one. Prints how many were gone within a second, and when the last process was.
 *
 *   npm run bench:orphans
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FLIGHTS, processesWith, startFleeing } from '../test/support/fleeing-commands.js';
import { temporaryFolder } from '../test/support/servers/index.js';

const ROUNDS = 50;
/** What is still there then stays. */
const WATCH_MS = 3_000;
const LOOK_MS = 5;

const folder = temporaryFolder();

/** Milliseconds until nothing of the command was left; infinite when something stayed. */
async function outlived(round: number, confined: boolean): Promise<number> {
  const marker = `${(confined ? 96_000 : 97_000) + round}${process.pid}`;
  const scripts = Object.values(FLIGHTS);
  const script = scripts[round % scripts.length] ?? '';
  const worker = await startFleeing({ marker, script, folder: folder.path, timeoutMs: 600_000, confined });
  const killedAt = performance.now();
  worker.kill('SIGKILL');
  const passed = (): number => performance.now() - killedAt;
  while (processesWith(marker).length > 0 && passed() < WATCH_MS) await delay(LOOK_MS);
  const ms = processesWith(marker).length === 0 ? passed() : Number.POSITIVE_INFINITY;
  for (; processesWith(marker).length > 0; await delay(LOOK_MS)) spawnSync('kill', ['-9', ...processesWith(marker)]);
  rmSync(join(folder.path, marker), { recursive: true });
  return ms;
}

const times: Record<'confined' | 'bare', number[]> = { confined: [], bare: [] };
for (let round = 0; round < ROUNDS; round += 1) {
  times.confined.push(await outlived(round, true));
  times.bare.push(await outlived(round, false));
}
for (const [name, values] of Object.entries(times)) {
  const gone = values.filter((ms) => ms <= 1_000).toSorted((a, b) => a - b);
  const [median, longest] = [gone[Math.floor(gone.length / 2)], gone.at(-1)];
  const figures = median === undefined ? '' : `; median ${median.toFixed(0)} ms, longest ${longest?.toFixed(0)} ms`;
  console.log(`${name}: ${gone.length} of ${ROUNDS} gone within 1 s${figures}`);
}
folder.remove();
