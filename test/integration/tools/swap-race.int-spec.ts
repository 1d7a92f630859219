import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdir, readdir, readFile, realpath, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { AppConfig } from '../../../src/config/index.js';
import { ListDirTool } from '../../../src/modules/tools/files/list-dir.tool.js';
import { Places } from '../../../src/modules/tools/files/places.js';
import { ReadFileTool } from '../../../src/modules/tools/files/read-file.tool.js';
import { WriteFileTool } from '../../../src/modules/tools/files/write-file.tool.js';
import { contextFor, scratch } from './sandbox-folder.js';

/** How often each path is tried against the swapper. A check by path leaks within some hundred tries. */
const TRIES = Number(process.env['SWAP_TRIES'] ?? 4_000);
const TIMEOUT = 300_000 + TRIES * 20;

/**
 * Puts a real folder and a link to the outside in turn at `root/folder`, and a file and a link in turn at `root/file`, as
 * fast as it can, until it is told to stop. A write may put something of its own in between; all is then laid out anew, or
 * there would be nothing left to swap.
 */
const SWAPPER = `
  const { lstatSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } = require('node:fs');
  const { parentPort, workerData: { root, stop } } = require('node:worker_threads');
  const flag = new Int32Array(stop);
  const layOut = (name) => {
    for (const suffix of ['', '.real', '.link']) rmSync(root + '/' + name + suffix, { recursive: true, force: true });
    symlinkSync(name === 'folder' ? '../outside' : '../outside/name', root + '/' + name + '.link');
    if (name === 'folder') mkdirSync(root + '/folder', { recursive: true });
    writeFileSync(root + (name === 'folder' ? '/folder/name' : '/file'), 'inside');
  };
  for (const name of ['folder', 'file']) layOut(name);
  parentPort.postMessage('running');
  while (Atomics.load(flag, 0) === 0) {
    for (const name of ['folder', 'file']) {
      try {
        renameSync(root + '/' + name, root + '/' + name + '.real');
        renameSync(root + '/' + name + '.link', root + '/' + name);
        renameSync(root + '/' + name, root + '/' + name + '.link');
        renameSync(root + '/' + name + '.real', root + '/' + name);
        if (!lstatSync(root + '/' + name + '.link').isSymbolicLink()) layOut(name);
        Atomics.add(flag, 1, 1);
      } catch {
        try {
          layOut(name);
        } catch {
          // It is written to at this moment; the next round lays it out.
        }
      }
    }
  }
`;

const places = new Places(AppConfig.from({}));
let root: string;
let outside: string;
let remove: () => Promise<void>;
let stop: () => Promise<number>;

beforeEach(async () => {
  const made = await scratch();
  remove = made.remove;
  root = join(made.path, 'workspace');
  outside = join(made.path, 'outside');
  await mkdir(root);
  await mkdir(outside);
  await writeFile(join(outside, 'name'), 'OUTSIDE');
  const flag = new SharedArrayBuffer(8);
  const worker = new Worker(SWAPPER, { eval: true, workerData: { root, stop: flag } });
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  await new Promise((resolve) => worker.once('message', resolve));
  stop = async () => {
    Atomics.store(new Int32Array(flag), 0, 1);
    await ended;
    return Atomics.load(new Int32Array(flag), 1);
  };
});
afterEach(async () => {
  await stop();
  await remove();
});

/** Looks first and opens afterwards, as a check by path does. */
async function naiveRead(path: string): Promise<string> {
  const real = await realpath(join(root, path));
  if (!real.startsWith(`${root}/`)) throw new Error('refused');
  return readFile(join(root, path), 'utf8');
}

async function tryOften(attempt: (turn: number) => Promise<{ text: string; refused: boolean }>): Promise<{
  refused: number;
  answered: number;
  leaks: number;
}> {
  const counts = { refused: 0, answered: 0, leaks: 0 };
  for (let turn = 0; turn < TRIES; turn += 8) {
    const results = await Promise.all(Array.from({ length: 8 }, (_, index) => attempt(turn + index)));
    for (const { text, refused } of results) {
      if (text.includes('OUTSIDE')) counts.leaks++;
      else if (refused) counts.refused++;
      else counts.answered++;
    }
  }
  return counts;
}

describe('folders and files that are swapped for links while they are used', () => {
  it(
    'leak through a check by path: the rig works',
    async () => {
      let leaks = 0;
      for (let turn = 0; turn < TRIES * 10 && leaks === 0; turn++) {
        const text = await naiveRead(turn % 2 === 0 ? 'folder/name' : 'file').catch(() => '');
        if (text === 'OUTSIDE') leaks++;
      }
      expect(leaks).toBeGreaterThan(0);
    },
    TIMEOUT,
  );

  it(
    'let nothing from outside be read',
    async () => {
      const [read, list] = [new ReadFileTool(places), new ListDirTool(places)];
      await writeFile(join(outside, 'OUTSIDE'), '');
      const context = contextFor(root);
      const counts = await tryOften(async (turn) => {
        const result =
          turn % 4 === 0
            ? await list.run({ path: 'folder' }, context)
            : await read.run({ path: turn % 2 === 0 ? 'folder/name' : 'file' }, context);
        return { text: result.text, refused: result.isError ?? false };
      });
      const rounds = await stop();
      expect(counts.leaks).toBe(0);
      expect(counts.answered).toBeGreaterThan(0);
      expect(counts.refused).toBeGreaterThan(0);
      expect(rounds).toBeGreaterThan(100);
    },
    TIMEOUT,
  );

  it(
    'let nothing outside be written',
    async () => {
      const write = new WriteFileTool(places);
      const context = contextFor(root);
      const counts = await tryOften(async (turn) => {
        const path = turn % 2 === 0 ? 'folder/name' : turn % 4 === 1 ? 'file' : `folder/new-${turn % 16}`;
        const result = await write.run({ path, content: 'inside' }, context);
        return { text: result.text, refused: result.isError ?? false };
      });
      const rounds = await stop();
      expect(counts.answered).toBeGreaterThan(0);
      expect(counts.refused).toBeGreaterThan(0);
      expect(rounds).toBeGreaterThan(100);
      expect(await readdir(outside)).toEqual(['name']);
      expect(await readFile(join(outside, 'name'), 'utf8')).toBe('OUTSIDE');
    },
    TIMEOUT,
  );
});
