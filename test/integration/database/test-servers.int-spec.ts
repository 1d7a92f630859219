/** @needs redis-server */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { processRuns } from '../../../src/platform/embedded-postgres/postmaster.js';
import { eventually } from '../../support/eventually.js';

const ROOT = join(fileURLToPath(import.meta.url), '../../../..');

const OWNER = `
  import { startPostgres, startRedis, temporaryFolder } from './test/support/servers/index.js';
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
  console.log(JSON.stringify({ pids: [postgres.pid, redis.pid], folders: [postgres.socketFolder, temporaryFolder().path] }));
`;

describe("the tests' own servers", () => {
  it.each(['SIGKILL', 'SIGINT'] as const)('end with the process that started them, when it gets %s', async (signal) => {
    const owner = spawn(
      process.execPath,
      ['--import', './scripts/typescript.mjs', '--input-type=module', '-e', OWNER],
      {
        cwd: ROOT,
        env: { PATH: process.env.PATH },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const [line] = (await Promise.race([
      once(createInterface({ input: owner.stdout }), 'line'),
      once(owner, 'exit').then(([code]) => Promise.reject(new Error(`the owner ended with ${code}`))),
    ])) as [string];
    const { pids, folders } = JSON.parse(line) as { pids: number[]; folders: string[] };
    for (const pid of pids) expect(await processRuns(pid)).toBe(true);
    for (const folder of folders) expect(existsSync(folder)).toBe(true);
    owner.kill(signal);
    await eventually('they have ended', async () => !(await Promise.all(pids.map(processRuns))).includes(true));
    await eventually('their folders are gone', () => !folders.some((folder) => existsSync(folder)));
  });
});
