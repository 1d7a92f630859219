/**
 * What the boundary costs: `run_shell true` in the sandbox beside the same command without it, interleaved in one run. Prints
 * the median and the 95th percentile of each, and the ratio of the medians.
 *
 *   npm run bench:sandbox
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { AppConfig } from '../src/config/index.js';
import { Sandbox } from '../src/modules/tools/sandbox/sandbox.js';
import { RunShellTool } from '../src/modules/tools/shell/run-shell.tool.js';
import { temporaryFolder } from '../test/support/servers/index.js';

const CALLS = 200;

Logger.overrideLogger(['error']);
const folder = temporaryFolder();
const root = join(folder.path, 'workspace');
await mkdir(root, { mode: 0o777 });
const config = AppConfig.from({ NOVA_WORKSPACE: root, NOVA_DATA_DIR: join(folder.path, 'data') });
const sandbox = new Sandbox(config);
const shell = new RunShellTool(sandbox);

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

async function confined(): Promise<void> {
  const { isError, text } = await shell.run(
    { command: 'true' },
    {
      root,
      tier: 'workspace',
      network: false,
      owner: 'bench',
      work: { kind: 'task', id: 'bench' },
      signal: new AbortController().signal,
    },
  );
  if (isError) throw new Error(text);
}

async function bare(): Promise<void> {
  await once(spawn('/bin/sh', ['-c', 'true'], { cwd: root, stdio: 'pipe' }), 'close');
}

const state = await sandbox.state();
if (!state.enforced) throw new Error(`The sandbox does not hold on this machine: ${state.reason}`);
const times: Record<'confined' | 'bare', number[]> = { confined: [], bare: [] };
for (let call = 0; call < CALLS; call += 1) {
  times.bare.push(await timed(bare));
  times.confined.push(await timed(confined));
}
const at = (values: number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN;
for (const [name, values] of Object.entries(times)) {
  console.log(
    `${name}: median ${at(values, 0.5).toFixed(1)} ms, p95 ${at(values, 0.95).toFixed(1)} ms, ${CALLS} calls`,
  );
}
console.log(`ratio of the medians: ${(at(times.confined, 0.5) / at(times.bare, 0.5)).toFixed(2)}`);
folder.remove();
process.exit(0);
