/**
 * What work trees cost beside what the system does natively: for each size, in a plain folder and in a repository, `cp -a`, `git
 * worktree add` and `git status` in passes interleaved with filling, looking and publishing one edit. Then five trees at once
 * with the delay of the event loop, and one task after another. Prints medians in ms.
 *
 * Nothing is removed while a size is measured: ext4 without a journal does not reuse the number of a removed file for a
 * minute, and passes over all such numbers whenever it makes a file, for us and for `cp` in turn.
 *
 *   npm run bench:trees [-- --sizes=1000,20000,100000 --passes=3 --in-a-row=200 --in-a-row-files=20000]
 *
 * TMPDIR names the file system to measure on.
 */
import { execFile } from 'node:child_process';
import { mkdir, readdir, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { Logger } from '@nestjs/common';
import { AppConfig } from '../src/config/index.js';
import { WorkTrees } from '../src/modules/tools/index.js';
import { temporaryFolder } from '../test/support/servers/index.js';

const run = promisify(execFile);
const AT_ONCE = 5;
const PER_FOLDER = 100;

const { values } = parseArgs({
  options: {
    sizes: { type: 'string', default: '1000,20000,100000' },
    passes: { type: 'string', default: '3' },
    'in-a-row': { type: 'string', default: '200' },
    'in-a-row-files': { type: 'string', default: '20000' },
  },
});
const sizes = values.sizes.split(',').map(Number);
const passes = Number(values.passes);

Logger.overrideLogger(['error']);

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

const median = (times: readonly number[]): number => times.toSorted((a, b) => a - b)[times.length >> 1] ?? Number.NaN;
const shown = (ms: number): string => `${ms.toFixed(0)} ms`;

async function makeFiles(folder: string, count: number): Promise<void> {
  for (let made = 0; made < count; made += PER_FOLDER) {
    const inner = join(folder, `d${made % 31}`, `e${made}`);
    await mkdir(inner, { recursive: true });
    for (let n = made; n < Math.min(count, made + PER_FOLDER); n++) {
      await writeFile(join(inner, `f${n}.ts`), `${'x'.repeat(300 + ((n * 37) % 1500))}${n}\n`);
    }
  }
}

async function git(folder: string, ...args: string[]): Promise<void> {
  const owner = ['-c', 'user.name=Bench', '-c', 'user.email=bench@example.test', '-c', 'gc.auto=0'];
  await run('git', [...owner, ...args], { cwd: folder, maxBuffer: 64 * 1024 * 1024 });
}

/** Waits until everything that was dropped is removed. */
async function removed(root: string): Promise<void> {
  while ((await readdir(join(root, 'data', 'removed-trees'))).length > 0) await setTimeout(50);
}

/** All figures of one workspace, by name, one value a pass. */
async function measure(root: string, workspace: string, isRepository: boolean): Promise<Map<string, number[]>> {
  const trees = new WorkTrees(AppConfig.from({ NOVA_WORKSPACE: workspace, NOVA_DATA_DIR: join(root, 'data') }));
  const [folder = ''] = await readdir(workspace).then((names) => names.filter((name) => name.startsWith('d')));
  const [inner = ''] = await readdir(join(workspace, folder));
  const [name = ''] = await readdir(join(workspace, folder, inner));
  const edited = join(folder, inner, name);
  const times = new Map<string, number[]>();
  const dropped: string[] = [];
  for (let pass = 0; pass <= passes; pass++) {
    // In the first pass the machine, its caches and our code are cold.
    const note = async (what: string, work: () => Promise<unknown>): Promise<void> => {
      const name = pass === 0 ? `first ${what}` : what;
      times.set(name, [...(times.get(name) ?? []), await timed(work)]);
      await run('sync', ['-f', root]);
    };
    await note('cp -a', () => run('cp', ['-a', workspace, join(root, `copy-${pass}`)]));
    if (isRepository) {
      const worktree = join(root, `worktree-${pass}`);
      await note('git worktree add', () => git(workspace, 'worktree', 'add', '-q', '--detach', worktree));
      await note('git status', () => git(workspace, 'status', '--porcelain'));
    }
    const id = `task-${pass}`;
    let tree = { taskId: id, epoch: 1, root: '' };
    await note('fill', async () => (tree = await trees.open(id, 1)));
    await note('look, nothing changed', () => trees.diff(tree));
    await writeFile(join(tree.root, edited), `edited in pass ${pass}\n`);
    await note('look, one edit', () => trees.diff(tree));
    await note('publish one edit', () => trees.publish(tree));
    dropped.push(id);
  }
  const together = (work: (n: number) => Promise<unknown>): Promise<number> =>
    timed(() => Promise.all(Array.from({ length: AT_ONCE }, (_, n) => work(n))));
  const noteTogether = (name: string, all: number): void => {
    const one = median(times.get(name) ?? []);
    times.set(`${name}, ${AT_ONCE} at once (${(all / one).toFixed(1)} x one)`, [all]);
  };
  noteTogether('cp -a', await together((n) => run('cp', ['-a', workspace, join(root, `copy-at-once-${n}`)])));
  await run('sync', ['-f', root]);
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const all = await together((n) => trees.open(`at-once-${n}`, 1));
  delay.disable();
  noteTogether('fill', all);
  times.set('event loop delay meanwhile, p99', [delay.percentile(99) / 1e6]);
  for (let n = 0; n < AT_ONCE; n++) dropped.push(`at-once-${n}`);
  times.set('drop', []);
  for (const id of dropped) times.get('drop')?.push(await timed(() => trees.drop(id)));
  await removed(root);
  times.set('rm -rf of a copy', [await timed(() => run('rm', ['-rf', join(root, 'copy-0')]))]);
  await trees.onApplicationShutdown();
  return times;
}

const temporary = temporaryFolder();
for (const size of sizes) {
  for (const kind of ['plain folder', 'repository']) {
    const root = join(temporary.path, `${size}-${kind.replace(' ', '-')}`);
    const workspace = join(root, 'workspace');
    await makeFiles(workspace, size);
    if (kind === 'repository') {
      await git(workspace, 'init', '-q');
      await git(workspace, 'add', '-A');
      await git(workspace, 'commit', '-q', '-m', 'all');
      await git(workspace, 'repack', '-q', '-a', '-d');
    }
    console.log(`\n${size} files, ${kind}`);
    const times = await measure(root, workspace, kind === 'repository');
    for (const [what, each] of times) console.log(`  ${what.padEnd(36)} ${shown(median(each))}`);
    for (const first of ['first ', '']) {
      const ratio = median(times.get(`${first}fill`) ?? []) / median(times.get(`${first}cp -a`) ?? []);
      console.log(`  ${`${first}fill / cp -a`.padEnd(36)} ${ratio.toFixed(2)}`);
    }
    await run('rm', ['-rf', root]);
  }
}

const inARow = Number(values['in-a-row']);
if (inARow > 0) {
  const root = join(temporary.path, 'in-a-row');
  const files = Number(values['in-a-row-files']);
  await makeFiles(join(root, 'workspace'), files);
  const config = AppConfig.from({ NOVA_WORKSPACE: join(root, 'workspace'), NOVA_DATA_DIR: join(root, 'data') });
  const trees = new WorkTrees(config);
  const used = async (): Promise<number> => {
    await run('sync', ['-f', root]);
    const { blocks, bfree, bsize } = await statfs(root);
    return ((blocks - bfree) * bsize) / 1024 / 1024;
  };
  const before = await used();
  const times: number[] = [];
  for (let n = 0; n < inARow; n++) {
    times.push(
      await timed(async () => {
        const tree = await trees.open(`task-${n}`, 1);
        await writeFile(join(tree.root, 'edited.ts'), `edited by task ${n}\n`);
        await trees.diff(tree);
        await trees.publish(tree);
        await trees.drop(tree.taskId);
      }),
    );
  }
  await removed(root);
  const kept = await used();
  await trees.onApplicationShutdown();
  const after = await used();
  const tenth = Math.max(1, Math.floor(inARow / 10));
  console.log(`\n${inARow} tasks in a row, ${files} files, each with one edit`);
  const [first, last] = [median(times.slice(0, tenth)), median(times.slice(-tenth))];
  console.log(`  first tenth ${shown(first)}, all ${shown(median(times))}, last tenth ${shown(last)}`);
  const more = (mib: number): string => `${(mib - before).toFixed(1)} MiB`;
  console.log(`  more disk in use than before: ${more(kept)}, after the end of the service ${more(after)}`);
}
await run('rm', ['-rf', temporary.path]);
