import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { AppConfig } from '../../../src/config/index.js';
import { WorkTrees, type WorkTree } from '../../../src/modules/tools/index.js';
import { eventually } from '../../support/eventually.js';
import { scratch } from './sandbox-folder.js';

const TASK = '0190a000-0000-7000-8000-000000000001';
const SCRIPT = join(import.meta.dirname, 'dying-work-trees.mjs');
const DIST = `${pathToFileURL(join(import.meta.dirname, '../../../dist')).href}/`;

/** How the workspace is, and how the task leaves its tree. */
const BEFORE = { 'a.txt': 'one', 'd/b.txt': 'two', link: '-> a.txt' };
const AFTER = { 'a.txt': 'changed', 'd/new.txt': 'new', link: '-> a.txt' };

let folder: string;
let workspace: string;
let dataDir: string;
let remove: () => Promise<void>;

async function prepare(): Promise<void> {
  ({ path: folder, remove } = await scratch());
  workspace = join(folder, 'workspace');
  dataDir = join(folder, 'data');
  await mkdir(join(workspace, 'd'), { recursive: true });
  await writeFile(join(workspace, 'a.txt'), 'one');
  await writeFile(join(workspace, 'd/b.txt'), 'two');
  await symlink('a.txt', join(workspace, 'link'));
}

/** What a service does that is started now. */
function nextProcess(): WorkTrees {
  return new WorkTrees(AppConfig.from({ NOVA_WORKSPACE: workspace, NOVA_DATA_DIR: dataDir }));
}

async function contentOf(root: string): Promise<Record<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory());
  return Object.fromEntries(
    await Promise.all(
      files.map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        const text = entry.isSymbolicLink() ? '-> a.txt' : await readFile(path, 'utf8');
        return [path.slice(root.length + 1), text] as const;
      }),
    ),
  );
}

async function edit(tree: WorkTree): Promise<void> {
  await writeFile(join(tree.root, 'a.txt'), 'changed');
  await rm(join(tree.root, 'd/b.txt'));
  await writeFile(join(tree.root, 'd/new.txt'), 'new');
}

/** What stands in the data folder once the tasks have ended and the next process has swept it. */
async function expectNothingLeft(trees: WorkTrees): Promise<void> {
  await trees.sweep(async () => new Map([[TASK, 'complete']]), new Date(Date.now() + 2 * 60 * 60 * 1000));
  const left = (): Promise<string[][]> =>
    Promise.all(['trees', 'moments', 'removed-trees'].map((name) => readdir(join(dataDir, name))));
  await eventually('nothing is left', async () => (await left()).flat().length === 0);
}

describe('a process that is killed', () => {
  let steps: Record<string, number>;

  beforeAll(async () => {
    await prepare();
    steps = JSON.parse(
      execFileSync(process.execPath, [SCRIPT, DIST, workspace, dataDir, 'count', '0'], { encoding: 'utf8' }),
    ) as Record<string, number>;
    await remove();
  });
  beforeEach(prepare);
  afterEach(() => remove());

  /** Is killed before the step at that part of its way: 0 is the first one, 1 the last. */
  function dieWhile(action: string, part: number): void {
    const at = 1 + Math.round(part * ((steps[action] ?? 0) - 1));
    const died = spawnSync(process.execPath, [SCRIPT, DIST, workspace, dataDir, action, `${at}`], { encoding: 'utf8' });
    expect(died).toMatchObject({ signal: 'SIGKILL', stderr: '' });
  }

  it.each([0, 0.3, 0.6, 0.9, 1])('while it fills a tree, %d of the way, leaves none or all of it', async (part) => {
    dieWhile('fill', part);
    const trees = nextProcess();
    const tree = await trees.open(TASK, 2);
    expect(await contentOf(tree.root)).toEqual(BEFORE);
    expect((await trees.diff(tree)).files).toEqual([]);
    await expectNothingLeft(trees);
  });

  it.each([0.3, 0.9, 1])('while it takes over a tree, %d of the way, loses nothing of it', async (part) => {
    await edit(await nextProcess().open(TASK, 1));
    dieWhile('take over', part);
    const trees = nextProcess();
    const tree = await trees.open(TASK, 3);
    expect(await contentOf(tree.root)).toEqual(AFTER);
    expect((await trees.diff(tree)).files.map(({ path }) => path)).toEqual(['a.txt', 'd/b.txt', 'd/new.txt']);
    await expectNothingLeft(trees);
  });

  it.each([0.3, 0.7, 1])(
    'while it publishes, %d of the way, has published all when it is asked again',
    async (part) => {
      await edit(await nextProcess().open(TASK, 1));
      dieWhile('publish', part);
      const trees = nextProcess();
      expect(await trees.publish(await trees.open(TASK, 1))).toEqual({ conflicts: [] });
      expect(await contentOf(workspace)).toEqual(AFTER);
      await expectNothingLeft(trees);
    },
  );

  it.each([0, 0.5, 1])('while it takes back, %d of the way, has taken back all in the end', async (part) => {
    const first = nextProcess();
    const tree = await first.open(TASK, 1);
    await edit(tree);
    await first.publish(tree);
    dieWhile('take back', part);
    const trees = nextProcess();
    expect(await trees.withdraw(TASK)).toEqual([]);
    expect(await contentOf(workspace)).toEqual(BEFORE);
    await expectNothingLeft(trees);
  });
});
