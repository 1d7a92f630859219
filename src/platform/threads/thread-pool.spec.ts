import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ThreadPool } from './thread-pool.js';

let folder: string;
let from: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nova-threads-'));
  from = pathToFileURL(join(folder, 'caller.js')).href;
});
afterEach(() => rm(folder, { recursive: true }));

const pool = () => new ThreadPool<{ double: (n: number) => number }>(from, 'job.mjs');

describe('a pool of threads', () => {
  it('fails all that wait when the module is missing, and works once it is there', async () => {
    const threads = pool();
    const outcomes = await Promise.allSettled([1, 2, 3].map((n) => threads.run('double', n)));
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { message: expect.stringContaining('job.mjs') } });
    }
    await writeFile(join(folder, 'job.mjs'), 'export const double = (n) => 2 * n;');
    expect(await threads.run('double', 21)).toBe(42);
  });

  it('fails with the reason when the module cannot be loaded', async () => {
    await writeFile(join(folder, 'job.mjs'), 'throw new Error("no such library");');
    await expect(pool().run('double', 1)).rejects.toThrow('no such library');
  });

  it('fails one job with what it threw, and goes on', async () => {
    await writeFile(
      join(folder, 'job.mjs'),
      'export const double = (n) => { if (n < 0) throw new Error("negative"); return 2 * n; };',
    );
    const threads = pool();
    await expect(threads.run('double', -1)).rejects.toThrow('negative');
    expect(await threads.run('double', 1)).toBe(2);
  });
});
