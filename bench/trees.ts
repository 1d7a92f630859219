/**
 * What work trees cost beside what the system does natively: for each size, in a plain folder and in a repository, `cp -a`, `git
 * worktree add` and `git status` in passes interleaved with filling, looking, publishing one edit and dropping. Then five
 * trees at once with the delay of the event loop, and one task after another on the smallest size. Prints medians in ms.
 *
 *   npm run bench:trees [-- --sizes=1000,20000,100000 --passes=3 --in-a-row=200]
 */
import { execFile } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
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

/** All figures of one workspace, by name, one value a pass. */
async function measure(root: string, workspace: string, isRepository: boolean): Promise<Map<string, number[]>> {
  const trees = new WorkTrees(AppConfig.from({ NOVA_WORKSPACE: workspace, NOVA_DATA_DIR: join(root, 'data') }));
  const [folder = ''] = await readdir(workspace).then((names) => names.filter((name) => name.startsWith('d')));
  const [inner = ''] = await readdir(join(workspace, folder));
  const [name = ''] = await readdir(join(workspace, folder, inner));
  const edited = join(folder, inner, name);
  const times = new Map<string, number[]>();
  const note = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    times.set(what, [...(times.get(what) ?? []), await timed(work)]);
  };
  for (let pass = 0; pass < passes; pass++) {
    await note('cp -a', () => run('cp', ['-a', workspace, join(root, 'copy')]));
    await note('rm -rf', () => run('rm', ['-rf', join(root, 'copy')]));
    if (isRepository) {
      await note('git worktree add', () => git(workspace, 'worktree', 'add', '-q', '--detach', join(root, 'worktree')));
      await git(workspace, 'worktree', 'remove', '--force', join(root, 'worktree'));
      await note('git status', () => git(workspace, 'status', '--porcelain'));
    }
    const id = `task-${pass}`;
    let tree = { taskId: id, epoch: 1, root: '' };
    await note('fill', async () => (tree = await trees.open(id, 1)));
    await note('look, nothing changed', () => trees.diff(tree));
    await writeFile(join(tree.root, edited), `edited in pass ${pass}\n`);
    await note('look, one edit', () => trees.diff(tree));
    await note('publish one edit', () => trees.publish(tree));
    await note('drop', () => trees.drop(id));
  }
  const one = median(times.get('fill') ?? []);
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const all = await timed(() => Promise.all(Array.from({ length: AT_ONCE }, (_, n) => trees.open(`at-once-${n}`, 1))));
  delay.disable();
  times.set(`fill, ${AT_ONCE} at once (${(all / one).toFixed(1)} x one)`, [all]);
  times.set('event loop delay meanwhile, p99', [delay.percentile(99) / 1e6]);
  for (let n = 0; n < AT_ONCE; n++) await trees.drop(`at-once-${n}`);
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
    const ratio = median(times.get('fill') ?? []) / median(times.get('cp -a') ?? []);
    console.log(`  ${'fill / cp -a'.padEnd(36)} ${ratio.toFixed(2)}`);
  }
}

const inARow = Number(values['in-a-row']);
if (inARow > 0) {
  const root = join(temporary.path, 'in-a-row');
  await makeFiles(join(root, 'workspace'), Math.min(...sizes));
  const config = AppConfig.from({ NOVA_WORKSPACE: join(root, 'workspace'), NOVA_DATA_DIR: join(root, 'data') });
  const trees = new WorkTrees(config);
  const times: number[] = [];
  for (let n = 0; n < inARow; n++) {
    times.push(
      await timed(async () => {
        const tree = await trees.open(`task-${n}`, 1);
        await trees.diff(tree);
        await trees.drop(tree.taskId);
      }),
    );
  }
  const tenth = Math.max(1, Math.floor(inARow / 10));
  console.log(`\n${inARow} tasks in a row, ${Math.min(...sizes)} files`);
  console.log(
    `  first tenth ${shown(median(times.slice(0, tenth)))}, last tenth ${shown(median(times.slice(-tenth)))}`,
  );
}
await run('rm', ['-rf', temporary.path]);
