import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppConfig } from '../../../src/config/index.js';
import { DomainError } from '../../../src/platform/errors/index.js';
import {
  TreeSweeper,
  WorkTreeFencedError,
  WorkTrees,
  type Conflict,
  type TaskFate,
  type WorkTree,
} from '../../../src/modules/tools/index.js';
import { Places } from '../../../src/modules/tools/files/places.js';
import { WriteFileTool } from '../../../src/modules/tools/files/write-file.tool.js';
import { BOX_USER } from '../../../src/modules/tools/sandbox/box-user.js';
import { contextFor, scratch } from './sandbox-folder.js';

const TASK = '0190a000-0000-7000-8000-000000000001';

let workspace: string;
let dataDir: string;
let trees: WorkTrees;
let remove: () => Promise<void>;

class SmallWorkTrees extends WorkTrees {
  protected override readonly limits = { files: 20, bytes: 100_000 };
}

beforeEach(async () => {
  const made = await scratch();
  remove = made.remove;
  workspace = join(made.path, 'workspace');
  dataDir = join(made.path, 'data');
  trees = new WorkTrees(config());
});
afterEach(() => remove());

function config(): AppConfig {
  return AppConfig.from({ NOVA_WORKSPACE: workspace, NOVA_DATA_DIR: dataDir });
}

async function put(root: string, files: Record<string, string | Buffer>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
}

/** Every file and link below `root` but `.git`, with its content. */
async function contentOf(root: string, prefix = ''): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(join(root, prefix), { withFileTypes: true })) {
    const path = join(prefix, entry.name);
    if (entry.name === '.git') continue;
    if (entry.isDirectory()) Object.assign(found, await contentOf(root, path));
    else if (entry.isSymbolicLink()) found[path] = `-> ${await readlink(join(root, path))}`;
    else if (entry.isFile()) found[path] = await readFile(join(root, path), 'utf8');
  }
  return found;
}

/** The files among what `contentOf` found. */
function withoutLinks(content: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(content).filter(([, text]) => !text.startsWith('-> ')));
}

function git(...args: string[]): string {
  const identity = ['-c', 'user.name=Owner', '-c', 'user.email=owner@example.test', '-c', 'safe.directory=*'];
  return execFileSync('git', [...identity, ...args], { cwd: workspace, encoding: 'utf8' });
}

function gitIn(tree: WorkTree, ...args: string[]): string {
  return execFileSync('git', ['-c', 'safe.directory=*', ...args], { cwd: tree.root, encoding: 'utf8' });
}

describe('a tree of a plain folder', () => {
  beforeEach(() => put(workspace, { 'a.txt': 'one\n', 'dir/b.txt': 'two\n', 'run.sh': '#!/bin/sh\n' }));

  it('is a copy that shares nothing with the workspace', async () => {
    await chmod(join(workspace, 'run.sh'), 0o4755);
    await symlink('a.txt', join(workspace, 'link'));
    await symlink('/etc/passwd', join(workspace, 'outside'));
    execFileSync('mkfifo', [join(workspace, 'fifo')]);
    await put(workspace, { 'nested/.git/config': '[core]', 'nested/file': 'x' });
    const tree = await trees.open(TASK, 1);
    expect(await contentOf(tree.root)).toEqual({
      'a.txt': 'one\n',
      'dir/b.txt': 'two\n',
      'run.sh': '#!/bin/sh\n',
      link: '-> a.txt',
      outside: '-> /etc/passwd',
      'nested/file': 'x',
    });
    expect((await stat(join(tree.root, 'run.sh'))).mode & 0o7777).toBe(0o755);
    expect((await stat(join(tree.root, 'a.txt'))).nlink).toBe(1);
    await expect(lstat(join(tree.root, 'nested/.git'))).rejects.toThrow('ENOENT');
    expect(await trees.diff(tree)).toMatchObject({ text: '', files: [], notShown: [] });
  });

  it('has files whose paths are too long to be used whole', async () => {
    let folder = workspace;
    for (let depth = 0; depth < 4; depth++) folder = join(folder, `${depth}`.repeat(240));
    await put(folder, { 'deep.txt': 'deep', ['x'.repeat(250)]: 'deeper' });
    const files = async (root: string): Promise<string[]> => Object.values(await contentOf(root)).sort();
    for (const id of [TASK, TASK.replace(/1$/, '2')]) {
      const tree = await trees.open(id, 1);
      expect(await files(tree.root)).toEqual(await files(workspace));
      expect((await trees.diff(tree)).files).toEqual([]);
    }
  });

  describe('that follows another', () => {
    const [second, third] = ['2', '3'].map((end) => TASK.replace(/1$/, end)) as [string, string];
    const packOf = async (id: string): Promise<number> => (await stat(join(dataDir, 'trees', id, 'base'))).ino;

    it('is as the workspace is then, and shares the content of what it began with', async () => {
      const first = await trees.open(TASK, 1);
      await put(workspace, { 'a.txt': 'two\n', 'fresh/new.txt': 'new' });
      await rm(join(workspace, 'dir'), { recursive: true });
      const next = await trees.open(second, 1);
      expect(await contentOf(next.root)).toEqual(await contentOf(workspace));
      expect((await trees.diff(next)).files).toEqual([]);
      expect(await packOf(second)).toBe(await packOf(TASK));
      await put(first.root, { 'a.txt': 'of the first\n' });
      await put(next.root, { 'a.txt': 'of the second\n' });
      expect((await trees.diff(first)).text).toContain('-one\n+of the first');
      expect((await trees.diff(next)).text).toContain('-two\n+of the second');
    });

    it('sees what was rewritten with its old size and its old times', async () => {
      await trees.open(TASK, 1);
      const path = join(workspace, 'a.txt');
      const { atime, mtime } = await stat(path);
      await writeFile(path, 'two\n');
      await utimes(path, atime, mtime);
      expect(await contentOf((await trees.open(second, 1)).root)).toMatchObject({ 'a.txt': 'two\n' });
    });

    it('does not need what was kept of the workspace before', async () => {
      const first = await trees.open(TASK, 1);
      await rm(join(dataDir, 'moments'), { recursive: true });
      expect(await contentOf((await trees.open(second, 1)).root)).toEqual(await contentOf(workspace));
      await put(first.root, { 'a.txt': 'changed\n' });
      expect((await trees.diff(first)).text).toContain('-one\n+changed');
    });

    it('is made although others that asked at the same time gave up', async () => {
      const gaveUp = new AbortController();
      const opened = [trees.open(TASK, 1, gaveUp.signal), trees.open(second, 1), trees.open(third, 1)];
      gaveUp.abort(new Error('given up'));
      const [left, ...made] = await Promise.allSettled(opened);
      expect(left).toMatchObject({ status: 'rejected', reason: { message: 'given up' } });
      for (const tree of made) expect(tree).toMatchObject({ status: 'fulfilled' });
      expect(await packOf(third)).toBe(await packOf(second));
      expect(await trees.exists(TASK)).toBe(false);
    });

    it('gives back what was kept when the service ends', async () => {
      await trees.open(TASK, 1);
      await trees.onApplicationShutdown();
      expect(await readdir(join(dataDir, 'moments'))).toEqual([]);
      expect(await contentOf((await trees.open(second, 1)).root)).toEqual(await contentOf(workspace));
    });
  });

  it('creates a missing workspace, for commands too', async () => {
    await rm(workspace, { recursive: true });
    await trees.onModuleInit();
    if (process.geteuid?.() === 0) expect((await stat(workspace)).uid).toBe(BOX_USER.uid);
    expect(await contentOf((await trees.open(TASK, 1)).root)).toEqual({});
  });

  it('is found again, by another process too', async () => {
    const tree = await trees.open(TASK, 1);
    await put(tree.root, { 'a.txt': 'changed' });
    expect(await trees.exists(TASK)).toBe(true);
    expect(await new WorkTrees(config()).open(TASK, 1)).toEqual(tree);
    expect(await readFile(join(tree.root, 'a.txt'), 'utf8')).toBe('changed');
  });

  it('goes on in a later epoch with what it held, and leaves the earlier one nothing', async () => {
    const old = await trees.open(TASK, 1);
    await put(old.root, { 'a.txt': 'changed', 'new/c.txt': 'three' });
    const tree = await new WorkTrees(config()).open(TASK, 4);
    expect(await contentOf(tree.root)).toMatchObject({ 'a.txt': 'changed', 'new/c.txt': 'three' });
    const late = await new WriteFileTool(new Places(config())).run(
      { path: 'a.txt', content: 'late' },
      contextFor(old.root),
    );
    expect(late.isError).toBe(true);
    await expect(trees.diff(old)).rejects.toThrow(WorkTreeFencedError);
    await expect(trees.publish(old)).rejects.toThrow(WorkTreeFencedError);
    await expect(trees.open(TASK, 3)).rejects.toThrow(WorkTreeFencedError);
    expect(await readFile(join(tree.root, 'a.txt'), 'utf8')).toBe('changed');
    expect((await readdir(join(dataDir, 'trees', TASK))).sort()).toEqual(['base', 'base.json', 'tree-4']);
  });

  it('is out of reach of what an earlier epoch left running in the folder itself', async () => {
    const old = await trees.open(TASK, 1);
    const orphan = process.cwd();
    process.chdir(old.root);
    try {
      const tree = await trees.open(TASK, 2);
      await writeFile('orphan', 'late').catch(() => undefined);
      expect(await contentOf(tree.root)).not.toHaveProperty('orphan');
    } finally {
      process.chdir(orphan);
    }
  });

  it('survives a take-over that died after it fenced, and one that died half-way', async () => {
    const old = await trees.open(TASK, 1);
    await put(old.root, { 'a.txt': 'changed' });
    const home = join(dataDir, 'trees', TASK);
    await rename(old.root, join(home, 'fenced-1'));
    await put(join(home, 'making-2-0123abcd'), { 'a.txt': 'half' });
    const tree = await new WorkTrees(config()).open(TASK, 3);
    expect(await readFile(join(tree.root, 'a.txt'), 'utf8')).toBe('changed');
    expect((await readdir(home)).sort()).toEqual(['base', 'base.json', 'tree-3']);
  });

  it.each(['before it', 'while it packs', 'between the two names', 'before the record'])(
    'made by an earlier version goes on, also when its repacking died %s',
    async (died) => {
      const home = join(dataDir, 'trees', TASK);
      const before = await contentOf(workspace);
      await put(join(home, 'tree-1'), { ...withoutLinks(before), 'a.txt': 'changed', 'new.txt': 'new' });
      await put(join(home, 'base'), withoutLinks(before));
      await symlink('a.txt', join(home, 'base', 'link-of-before'));
      await symlink('a.txt', join(home, 'tree-1', 'link-of-before'));
      const record = (type: string, text: string): object => ({
        type,
        sha256: createHash('sha256').update(text).digest('hex'),
        size: Buffer.byteLength(text),
      });
      const rows = Object.entries(withoutLinks(before)).map(([path, text]) => [path, record('file', text)]);
      await put(home, { 'base.json': JSON.stringify([...rows, ['link-of-before', record('link', 'a.txt')]]) });
      if (died !== 'before it') await put(join(home, 'base.packing'), { base: 'half' });
      if (died === 'between the two names' || died === 'before the record') {
        await rename(join(home, 'base'), join(home, 'base.unpacked'));
      }
      if (died === 'before the record') await rename(join(home, 'base.packing', 'base'), join(home, 'base'));
      const tree = await new WorkTrees(config()).open(TASK, 2);
      const { files } = await trees.diff(tree);
      expect(files.map(({ path }) => path).sort()).toEqual(['a.txt', 'new.txt']);
      expect(await trees.publish(tree)).toEqual({ conflicts: [] });
      expect(await contentOf(workspace)).toMatchObject({ 'a.txt': 'changed', 'new.txt': 'new' });
      expect((await readdir(home)).sort()).toEqual(['base', 'base.json', 'published.json', 'tree-2']);
    },
  );

  it('is whole or absent when its creation died', async () => {
    await put(join(dataDir, 'trees', `.making-${TASK}-1-0123abcd`, 'base'), { 'a.txt': 'half' });
    expect(await trees.exists(TASK)).toBe(false);
    expect(await contentOf((await trees.open(TASK, 2)).root)).toMatchObject({ 'a.txt': 'one\n' });
  });

  it('has one winner when two workers open it at once', async () => {
    const opened = await Promise.allSettled([1, 2, 2, 3].map((epoch) => new WorkTrees(config()).open(TASK, epoch)));
    await trees.open(TASK, 3);
    expect((await readdir(join(dataDir, 'trees', TASK))).filter((name) => name.startsWith('tree-'))).toEqual([
      'tree-3',
    ]);
    for (const result of opened) {
      if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(Error);
    }
  });

  it('is refused when the workspace is too large, and nothing of it stays', async () => {
    const small = new SmallWorkTrees(config());
    await put(workspace, { big: Buffer.alloc(100_001) });
    await expect(small.open(TASK, 1)).rejects.toMatchObject({ code: 'workspace_too_large' });
    await put(workspace, {
      big: '',
      ...Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`f${index}`, ''])),
    });
    await expect(small.open(TASK, 1)).rejects.toBeInstanceOf(DomainError);
    expect(await readdir(join(dataDir, 'trees'))).toEqual([]);
    expect(await small.exists(TASK)).toBe(false);
  });

  it('is dropped with everything in it, whatever a tool made of it', async () => {
    const tree = await trees.open(TASK, 1);
    await put(join(dataDir, 'precious'), { file: 'stays' });
    await symlink(join(dataDir, 'precious'), join(tree.root, 'out'));
    await mkdir(join(tree.root, 'd/'.repeat(200)), { recursive: true });
    await writeFile(Buffer.concat([Buffer.from(`${tree.root}/`), Buffer.from([0xff, 0xfe])]), 'not UTF-8');
    await mkdir(join(tree.root, 'shut'), { mode: 0o000 });
    await trees.drop(TASK);
    expect(await readdir(join(dataDir, 'trees'))).toEqual([]);
    expect(await readFile(join(dataDir, 'precious/file'), 'utf8')).toBe('stays');
    await trees.drop(TASK);
  });

  it('is swept when its task has ended, or is gone and it is not new', async () => {
    const [other, third, complete, cancelled] = ['2', '3', '4', '5'].map((end) => TASK.replace(/1$/, end)) as [
      string,
      string,
      string,
      string,
    ];
    for (const id of [TASK, other, third]) await trees.open(id, 1);
    for (const id of [complete, cancelled]) {
      const tree = await trees.open(id, 1);
      await put(tree.root, { [`${id}.txt`]: 'made' });
      expect(await trees.publish(tree)).toEqual({ conflicts: [] });
    }
    await put(join(dataDir, 'trees', '.dropped-x'), { file: '' });
    await put(join(dataDir, 'trees', `.making-${other}-1-0123abcd`), { file: '' });
    const old = new Date(Date.now() - 2 * 60 * 60 * 1000);
    for (const name of [TASK, other, `.making-${other}-1-0123abcd`])
      await utimes(join(dataDir, 'trees', name), old, old);
    await trees.sweep(async (ids) => {
      expect(ids.sort()).toEqual([TASK, other, third, complete, cancelled]);
      return new Map<string, TaskFate>([
        [TASK, 'unfinished'],
        [complete, 'complete'],
        [cancelled, 'given_up'],
      ]);
    });
    expect((await readdir(join(dataDir, 'trees'))).sort()).toEqual([TASK, third]);
    const names = await readdir(workspace);
    expect(names).toContain(`${complete}.txt`);
    expect(names).not.toContain(`${cancelled}.txt`);
  });

  it('is swept by what all that have trees say, and one that fails keeps no other', async () => {
    const [mine, others, stuck] = ['b', 'c', 'd'].map((end) => TASK.slice(0, -1) + end) as [string, string, string];
    for (const id of [mine, others, stuck]) await trees.open(id, 1);
    await rm(join(dataDir, 'trees', stuck, 'base.json'));
    await mkdir(join(dataDir, 'trees', stuck, 'base.json'));
    await writeFile(join(dataDir, 'trees', stuck, 'published.json'), '["a.txt"]');
    const sweeper = new TreeSweeper(trees);
    sweeper.serve(
      async () =>
        new Map([
          [stuck, 'given_up' as const],
          [mine, 'complete' as const],
        ]),
    );
    sweeper.serve(async (names) => new Map(names.includes(others) ? [[others, 'unfinished' as const]] : []));
    await Promise.all([sweeper.sweep(), sweeper.sweep()]);
    expect((await readdir(join(dataDir, 'trees'))).sort()).toEqual([others, stuck]);
  });

  it('has ids that are no paths', async () => {
    for (const id of ['..', '../x', '', 'a/b', '.making-x']) {
      await expect((async () => trees.open(id, 1))()).rejects.toThrow();
    }
  });
});

describe('a tree of a repository', () => {
  beforeEach(async () => {
    await put(workspace, {
      'tracked.txt': 'committed\n',
      'gone.txt': 'committed\n',
      '.gitignore': 'ignored/\n.env\n',
      'sub/x.txt': 'x\n',
    });
    git('init', '-q', '-b', 'main');
    git('add', '-A');
    git('commit', '-q', '-m', 'first');
    await put(workspace, {
      'tracked.txt': 'uncommitted\n',
      'untracked.txt': 'new\n',
      'ignored/a': 'a',
      '.env': 'SECRET=1',
    });
    await rm(join(workspace, 'gone.txt'));
  });

  it('carries the uncommitted changes and leaves out what is ignored', async () => {
    const tree = await trees.open(TASK, 1);
    expect(await contentOf(tree.root)).toEqual({
      'tracked.txt': 'uncommitted\n',
      'untracked.txt': 'new\n',
      '.gitignore': 'ignored/\n.env\n',
      'sub/x.txt': 'x\n',
    });
    expect(gitIn(tree, 'status', '--porcelain')).toBe(git('status', '--porcelain'));
    expect(gitIn(tree, 'log', '--format=%s')).toBe('first\n');
    expect(gitIn(tree, 'fsck', '--strict')).toBe('');
    expect((await trees.diff(tree)).files).toEqual([]);
  });

  it('takes over neither hooks nor configuration nor hard links', async () => {
    await put(workspace, { '.git/hooks/post-checkout': '#!/bin/sh\ntouch fired\n' });
    git('config', 'remote.origin.url', 'https://user:password@example.test/x.git');
    git('config', 'filter.evil.clean', 'touch fired; cat');
    await put(workspace, { '.gitattributes': '* filter=evil\n' });
    const tree = await trees.open(TASK, 1);
    expect((await readdir(join(tree.root, '.git'))).sort()).toEqual([
      'HEAD',
      'config',
      'index',
      'info',
      'objects',
      'refs',
    ]);
    expect(await readFile(join(tree.root, '.git/config'), 'utf8')).not.toMatch(/password|evil/);
    gitIn(tree, 'status');
    await expect(lstat(join(workspace, 'fired'))).rejects.toThrow('ENOENT');
    const [folder = ''] = (await readdir(join(tree.root, '.git/objects'))).filter((name) => name.length === 2);
    const [object = ''] = await readdir(join(tree.root, '.git/objects', folder));
    const ours = await stat(join(tree.root, '.git/objects', folder, object));
    const theirs = await stat(join(workspace, '.git/objects', folder, object));
    expect(ours.ino).not.toBe(theirs.ino);
    expect(ours.nlink).toBe(1);
  });

  it('runs nothing that a tool wrote into the .git of the workspace', async () => {
    const fire = `touch ${join(workspace, '..', 'fired')}`;
    await put(workspace, { fsmonitor: `#!/bin/sh\n${fire}\n` });
    await chmod(join(workspace, 'fsmonitor'), 0o755);
    git('config', 'core.fsmonitor', join(workspace, 'fsmonitor'));
    git('config', 'core.hooksPath', workspace);
    git('config', 'filter.evil.clean', fire);
    git('config', 'uploadpack.packObjectsHook', join(workspace, 'fsmonitor'));
    await put(workspace, { '.gitattributes': '* filter=evil\n' });
    await trees.diff(await trees.open(TASK, 1));
    await expect(lstat(join(workspace, '..', 'fired'))).rejects.toThrow('ENOENT');
  });

  it('works from packed objects and refs', async () => {
    git('tag', 'v1');
    git('gc', '-q');
    const tree = await trees.open(TASK, 1);
    expect(gitIn(tree, 'log', '--format=%s', 'v1')).toBe('first\n');
    expect(gitIn(tree, 'fsck')).toBe('');
  });

  it('keeps its commits in a later epoch', async () => {
    const old = await trees.open(TASK, 1);
    gitIn(old, '-c', 'user.name=T', '-c', 'user.email=t@example.test', 'commit', '-q', '-a', '-m', 'task');
    const tree = await trees.open(TASK, 2);
    expect(gitIn(tree, 'log', '--format=%s')).toBe('task\nfirst\n');
  });

  it('is a plain copy where the repository is the one above', async () => {
    await rename(join(workspace, '.git'), join(workspace, '..', '.git'));
    const tree = await trees.open(TASK, 1);
    expect(await contentOf(tree.root)).toHaveProperty(['.env']);
    await expect(lstat(join(tree.root, '.git'))).rejects.toThrow('ENOENT');
  });
});

describe('the difference', () => {
  let tree: WorkTree;
  beforeEach(async () => {
    await put(workspace, { 'a.txt': 'one\ntwo\nthree\n', 'b.txt': 'bye\n', bin: Buffer.from([0, 1]), 'run.sh': 'x\n' });
    tree = await trees.open(TASK, 1);
  });

  it('is a unified diff that git can apply', async () => {
    await put(tree.root, { 'a.txt': 'one\nTWO\nthree', 'dir/new file.txt': 'hello\n' });
    await rm(join(tree.root, 'b.txt'));
    await chmod(join(tree.root, 'run.sh'), 0o755);
    const { text, files } = await trees.diff(tree);
    expect(files).toEqual([
      { path: 'a.txt', change: 'modified', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      { path: 'b.txt', change: 'deleted', sha256: null },
      { path: 'dir/new file.txt', change: 'added', sha256: expect.any(String) },
      { path: 'run.sh', change: 'modified', sha256: expect.any(String) },
    ]);
    expect(text).toContain('-two\n-three\n+TWO\n+three\n\\ No newline at end of file\n');
    execFileSync('git', ['apply'], { cwd: workspace, input: text, env: { ...process.env, GIT_DIR: '/nonexistent' } });
    expect(await contentOf(workspace)).toEqual(await contentOf(tree.root));
  });

  it('finds what was rewritten with its old size and its old times', async () => {
    const [file, reference] = [join(tree.root, 'a.txt'), join(tree.root, '..', 'reference')];
    execFileSync('cp', ['-p', file, reference]);
    const content = await readFile(file, 'utf8');
    await writeFile(file, content.replace(/\S/, '!'));
    execFileSync('touch', ['-r', reference, file]);
    expect((await stat(file)).mtimeMs).toBe((await stat(reference)).mtimeMs);
    expect((await trees.diff(tree)).files).toMatchObject([{ path: 'a.txt', change: 'modified' }]);
    await writeFile(file, content);
    expect((await trees.diff(tree)).files).toEqual([]);
  });

  it('reads nothing of what is as it was, also after a take-over', async () => {
    const later = await trees.open(TASK, 2);
    const base = join(dataDir, 'trees', TASK, 'base');
    await writeFile(base, Buffer.alloc((await stat(base)).size));
    expect((await trees.diff(later)).files).toEqual([]);
  });

  it('has the same hash for the same changes, and another for others', async () => {
    const none = (await trees.diff(tree)).contentHash;
    await put(tree.root, { 'a.txt': 'changed' });
    const one = (await trees.diff(tree)).contentHash;
    expect(one).not.toBe(none);
    await utimes(join(tree.root, 'a.txt'), 1, 1);
    expect((await trees.diff(await trees.open(TASK, 2))).contentHash).toBe(one);
    tree = await trees.open(TASK, 2);
    await chmod(join(tree.root, 'a.txt'), 0o755);
    expect((await trees.diff(tree)).contentHash).not.toBe(one);
    await put(tree.root, { 'a.txt': 'one\ntwo\nthree\n' });
    await chmod(join(tree.root, 'a.txt'), 0o644);
    expect((await trees.diff(tree)).contentHash).toBe(none);
  });

  it('says what it does not show, and gives that whole', async () => {
    await put(tree.root, { bin: Buffer.from([0, 2]), large: 'x'.repeat(1_600_000), latin: Buffer.from([0xe4]) });
    const diff = await trees.diff(tree);
    expect(diff.notShown).toEqual([
      { path: 'bin', reason: 'binary', atBase: false },
      { path: 'large', reason: 'large', atBase: false },
      { path: 'latin', reason: 'binary', atBase: false },
    ]);
    expect(diff.text).toMatch(/Binary files differ: 2 bytes, sha256 [0-9a-f]{64} -> 2 bytes/);
    const large = diff.files.find(({ path }) => path === 'large');
    expect((await trees.read(tree, large!))?.length).toBe(1_600_000);
    expect(await trees.read(tree, large!, 1_000)).toBeNull();
    expect(await trees.read(tree, { path: '../base/a.txt', change: 'added', sha256: 'x' })).toBeNull();
  });

  it('shows a file that is quite different as replaced', async () => {
    const lines = (text: string): string => Array.from({ length: 5_000 }, (_, line) => `${text} ${line}\n`).join('');
    await put(tree.root, { 'a.txt': lines('new') });
    const { text, notShown } = await trees.diff(tree);
    expect(notShown).toEqual([]);
    expect(text).toContain('@@ -1,3 +1,5000 @@\n-one\n-two\n-three\n+new 0\n');
  });

  it('cannot be forged by names or links, and leaves out .git and half-written files', async () => {
    await put(tree.root, {
      'x\n+++ b/forged': 'a\n',
      '.git/hooks/pre-commit': 'evil',
      'sub/.GIT/config': 'evil',
      '.nova-0123456789abcdef.tmp': 'half',
    });
    await symlink('/etc/passwd', join(tree.root, 'link'));
    const { text, files } = await trees.diff(tree);
    expect(files.map(({ path }) => path)).toEqual(['link', 'x\n+++ b/forged']);
    expect(text).toContain('+++ "b/x\\n+++ b/forged"');
    expect(text).toContain('new file mode 120000\n--- /dev/null\n+++ b/link\n@@ -0,0 +1,1 @@\n+/etc/passwd\n');
    expect(text).not.toContain('root:');
  });

  it('is refused when a tool has filled the tree', async () => {
    const small = new SmallWorkTrees(config());
    await put(tree.root, { big: Buffer.alloc(300_000) });
    await expect(small.diff(tree)).rejects.toMatchObject({ code: 'workspace_too_large' });
  });
});

describe('publishing', () => {
  let tree: WorkTree;
  const before = {
    'a.txt': 'a\n',
    'b.txt': 'b\n',
    'dir/c.txt': 'c\n',
    'dir/d.txt': 'd\n',
    'to-dir': 'file\n',
    'to-file/x': 'x\n',
  };
  beforeEach(async () => {
    await put(workspace, before);
    tree = await trees.open(TASK, 1);
  });

  async function change(): Promise<Record<string, string>> {
    await put(tree.root, { 'a.txt': 'changed\n', 'new/deep/e.txt': 'e\n', 'run.sh': '#!/bin/sh\n' });
    await chmod(join(tree.root, 'run.sh'), 0o755);
    await rm(join(tree.root, 'dir'), { recursive: true });
    await rm(join(tree.root, 'to-dir'));
    await put(tree.root, { 'to-dir/inner': 'inner\n' });
    await rm(join(tree.root, 'to-file'), { recursive: true });
    await put(tree.root, { 'to-file': 'now a file\n' });
    await symlink('a.txt', join(tree.root, 'link'));
    return contentOf(tree.root);
  }

  const paths = (conflicts: Conflict[]): string[] => conflicts.map(({ path }) => path).sort();
  /** The versions that a person was shown, and approves. */
  const over = (conflicts: Conflict[]): { over: [string, string][] } => ({
    over: conflicts.flatMap(({ path, version }) => (version === null ? [] : [[path, version]])),
  });

  /** Publishes and is killed after so many steps; false when it was done by then. */
  async function diesAfter(steps: number): Promise<boolean> {
    let left = steps;
    const killed = AbortSignal.abort(new Error('killed'));
    const signal = { throwIfAborted: () => (left-- <= 0 ? killed.throwIfAborted() : undefined) } as AbortSignal;
    return trees.publish(tree, { signal }).then(
      () => false,
      () => true,
    );
  }

  it('brings additions, changes, deletions, modes, links and folders that became files', async () => {
    const expected = await change();
    expect(await trees.publish(tree)).toEqual({ conflicts: [] });
    expect(await contentOf(workspace)).toEqual(expected);
    expect((await stat(join(workspace, 'run.sh'))).mode & 0o777).toBe(0o755);
    await expect(lstat(join(workspace, 'dir'))).rejects.toThrow('ENOENT');
    const first = await stat(join(workspace, 'a.txt'));
    expect(await trees.publish(tree)).toEqual({ conflicts: [] });
    expect((await stat(join(workspace, 'a.txt'))).ino).toBe(first.ino);
  });

  it('completes what died at any step', async () => {
    const expected = await change();
    for (let steps = 0; ; steps++) {
      await rm(workspace, { recursive: true });
      await put(workspace, before);
      const died = await diesAfter(steps);
      expect(await trees.publish(tree)).toEqual({ conflicts: [] });
      expect(await contentOf(workspace)).toEqual(expected);
      if (!died) {
        expect(steps).toBeGreaterThan(10);
        break;
      }
    }
  });

  it('takes over the file that a dead publication left half-written', async () => {
    await put(tree.root, { 'a.txt': 'changed\n' });
    expect(await diesAfter(6)).toBe(true);
    expect(await trees.publish(tree)).toEqual({ conflicts: [] });
    expect((await readdir(workspace)).filter((name) => name.startsWith('.nova-'))).toEqual([]);
  });

  describe('into a workspace that may not be written', () => {
    const asRoot = process.geteuid?.() === 0;
    // Root may write anywhere, so it steps down for the publication.
    async function asOrdinary<T>(work: () => Promise<T>): Promise<T> {
      if (!asRoot) return work();
      execFileSync('chown', ['-R', `${BOX_USER.uid}:${BOX_USER.gid}`, dirname(workspace)]);
      process.seteuid?.(BOX_USER.uid);
      try {
        return await work();
      } finally {
        process.seteuid?.(0);
      }
    }

    it.each([
      ['the root', '', 'a.txt', '"a.txt" may not be accessed'],
      ['a folder', 'dir', 'dir/c.txt', '"c.txt" may not be accessed'],
    ])('%s that refuses is told with the path, and is no conflict', async (_, folder, path, reason) => {
      await put(tree.root, { [path]: 'changed\n' });
      await chmod(join(workspace, folder), 0o555);
      const published = asOrdinary(() => trees.publish(tree));
      await expect(published).rejects.toMatchObject({
        code: 'workspace_unwritable',
        message: `"${path}" cannot be published into the workspace: ${reason}.`,
        cause: { code: 'EACCES' },
      });
      await chmod(join(workspace, folder), 0o755);
      expect(await asOrdinary(() => trees.publish(tree))).toEqual({ conflicts: [] });
    });

    it('a folder that may not be entered is no conflict either', async () => {
      await put(tree.root, { 'dir/c.txt': 'changed\n' });
      await chmod(join(workspace, 'dir'), 0o000);
      await expect(asOrdinary(() => trees.publish(tree))).rejects.toMatchObject({ code: 'workspace_unwritable' });
      await chmod(join(workspace, 'dir'), 0o755);
    });
  });

  describe('of what the owner’s git would obey', () => {
    const bare = (folder: string, names = ['HEAD', 'objects/x', 'refs/x']): Record<string, string> =>
      Object.fromEntries(names.map((name) => [`${folder}${name}`, 'ref: refs/heads/main\n']));

    it.each<[string, Record<string, string>, { path: string; kind: string }[]]>([
      ['a nested .git', { 'lib/.git/config': 'x' }, [{ path: 'lib/.git', kind: 'git_entry' }]],
      ['a file .git', { 'lib/.git': 'gitdir: ../evil\n' }, [{ path: 'lib/.git', kind: 'git_entry' }]],
      [
        'another spelling',
        { '.Git ': 'x', 'a/GIT~1/config': 'x' },
        [
          { path: '.Git ', kind: 'git_entry' },
          { path: 'a/GIT~1', kind: 'git_entry' },
        ],
      ],
      ['what nobody sees', { 'lib/.g\u200bit/config': 'x' }, [{ path: 'lib/.g\u200bit', kind: 'git_entry' }]],
      ['a repository without work tree', bare('x/y/'), [{ path: 'x/y/', kind: 'bare_repository' }]],
      [
        'the whole workspace as one',
        bare('', ['head', 'Objects/x', 'refs/x']),
        [{ path: './', kind: 'bare_repository' }],
      ],
      ['a part that names the rest', bare('x/', ['HEAD', 'commondir']), [{ path: 'x/', kind: 'bare_repository' }]],
      [
        'submodules',
        { '.gitmodules': '[submodule "a"]\n\tupdate = !touch x\n' },
        [{ path: '.gitmodules', kind: 'submodule' }],
      ],
      [
        'a new filter',
        { 'dir/.gitattributes': '* filter=evil\n' },
        [{ path: 'dir/.gitattributes', kind: 'attributes' }],
      ],
      [
        'a new diff driver in a macro',
        { '.GitAttributes': '[attr]x diff=evil\n' },
        [{ path: '.GitAttributes', kind: 'attributes' }],
      ],
    ])('publishes nothing of %s until just that is released', async (_, files, listed) => {
      await put(tree.root, { ...files, 'a.txt': 'changed\n' });
      const { traps } = await trees.diff(tree);
      expect(traps?.listed).toEqual(listed);
      for (const options of [{}, { releasedTraps: 'another' }]) {
        expect(await trees.publish(tree, options)).toEqual({ conflicts: [], traps });
      }
      expect(await contentOf(workspace)).toEqual(before);
      expect(await trees.publish(tree, { releasedTraps: traps!.hash })).toEqual({ conflicts: [] });
      expect(await readFile(join(workspace, 'a.txt'), 'utf8')).toBe('changed\n');
    });

    it('takes an attributes file that is a link for one that nobody can judge', async () => {
      await symlink('rules', join(tree.root, '.gitattributes'));
      expect((await trees.diff(tree)).traps?.listed).toEqual([{ path: '.gitattributes', kind: 'attributes' }]);
    });

    it('knows the half of a repository that only the workspace has', async () => {
      await put(tree.root, bare('x/', ['HEAD', 'refs/x']));
      expect((await trees.diff(tree)).traps).toBeNull();
      await put(workspace, { 'x/objects/ignored': 'x' });
      expect((await trees.publish(tree)).traps?.listed).toEqual([{ path: 'x/', kind: 'bare_repository' }]);
      await rm(join(workspace, 'x'), { recursive: true });
      expect(await trees.publish(tree)).toEqual({ conflicts: [] });
    });

    it('lets work pass that the base had already, and what git only stores', async () => {
      await trees.drop(TASK);
      const { '.gitattributes': attributes, ...rest } = {
        '.gitattributes': '*.psd filter=lfs diff=lfs\n',
        '.gitmodules': '[submodule "a"]\n',
        ...bare('fixtures/repo/'),
        'fixtures/repo/config': '[core]\n',
      };
      await put(workspace, { '.gitattributes': attributes, ...rest });
      tree = await trees.open(TASK, 1);
      await put(tree.root, {
        '.gitattributes': `${attributes}*.bin filter=lfs\n*.md diff=markdown\n`,
        '.gitignore': '*.log\n',
        '.github/workflows/ci.yml': 'on: push\n',
        'docs/HEAD': 'x',
        'fixtures/other': 'x',
      });
      expect((await trees.diff(tree)).traps).toBeNull();
      expect(await trees.publish(tree)).toEqual({ conflicts: [] });
      await put(tree.root, { 'fixtures/repo/config': '[core]\n\tfsmonitor = x\n' });
      expect((await trees.diff(tree)).traps?.listed).toEqual([{ path: 'fixtures/repo/', kind: 'bare_repository' }]);
    });
  });

  it('finds every conflict first and then writes nothing', async () => {
    await change();
    await put(workspace, { 'b.txt': 'theirs, not touched by the task\n', 'a.txt': 'theirs\n', 'run.sh': 'theirs\n' });
    await rm(join(workspace, 'dir/d.txt'));
    await put(workspace, { 'dir/c.txt': 'theirs\n' });
    const held = await contentOf(workspace);
    const { conflicts } = await trees.publish(tree);
    expect(paths(conflicts)).toEqual(['a.txt', 'dir/c.txt', 'run.sh']);
    expect(await contentOf(workspace)).toEqual(held);
    const one = over(conflicts.filter(({ path }) => path === 'a.txt'));
    expect(paths((await trees.publish(tree, one)).conflicts)).toEqual(['dir/c.txt', 'run.sh']);
    expect(await trees.publish(tree, over(conflicts))).toEqual({ conflicts: [] });
    expect(await contentOf(workspace)).toEqual({
      ...(await contentOf(tree.root)),
      'b.txt': 'theirs, not touched by the task\n',
    });
  });

  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

  it('wins over exactly the version that a person was shown, and over no newer one', async () => {
    await put(tree.root, { 'a.txt': 'changed\n' });
    await rm(join(tree.root, 'b.txt'));
    await put(tree.root, { 'c.txt': 'new\n' });
    await put(workspace, { 'a.txt': 'theirs\n', 'b.txt': 'theirs\n', 'c.txt': 'theirs\n' });
    await chmod(join(workspace, 'c.txt'), 0o755);
    const { conflicts: shown } = await trees.publish(tree);
    const version = sha256('theirs\n');
    expect(shown).toEqual([
      { path: 'a.txt', causes: ['changed'], version: `file:${version}` },
      { path: 'b.txt', causes: ['changed'], version: `file:${version}` },
      { path: 'c.txt', causes: ['changed'], version: `executable:${version}` },
    ]);
    await put(workspace, { 'a.txt': 'theirs, again\n' });
    await rm(join(workspace, 'c.txt'));
    const moved = (await trees.publish(tree, over(shown))).conflicts;
    expect(moved).toEqual([{ path: 'a.txt', causes: ['changed'], version: `file:${sha256('theirs, again\n')}` }]);
    expect(await contentOf(workspace)).toMatchObject({ 'a.txt': 'theirs, again\n', 'b.txt': 'theirs\n' });
    expect(await trees.publish(tree, over([...shown, ...moved]))).toEqual({ conflicts: [] });
    expect(await contentOf(workspace)).toMatchObject({ 'a.txt': 'changed\n', 'c.txt': 'new\n' });
    expect(existsSync(join(workspace, 'b.txt'))).toBe(false);
  });

  it('wins over an absence that was shown, and not over what is there since', async () => {
    await put(tree.root, { 'a.txt': 'changed\n' });
    await rm(join(workspace, 'a.txt'));
    const { conflicts } = await trees.publish(tree);
    expect(conflicts).toEqual([{ path: 'a.txt', causes: ['changed'], version: 'absent' }]);
    await put(workspace, { 'a.txt': 'theirs\n' });
    expect(paths((await trees.publish(tree, over(conflicts))).conflicts)).toEqual(['a.txt']);
    await rm(join(workspace, 'a.txt'));
    expect(await trees.publish(tree, over(conflicts))).toEqual({ conflicts: [] });
  });

  it('keeps a folder in which the owner put something meanwhile', async () => {
    await change();
    await put(workspace, { 'to-file/theirs': 'x', 'dir/theirs': 'x' });
    const blocked = { conflicts: [{ path: 'to-file', causes: ['in_the_way'], version: null }] };
    expect(await trees.publish(tree)).toEqual(blocked);
    await rm(join(workspace, 'to-file/theirs'));
    expect(await trees.publish(tree)).toEqual({ conflicts: [] });
    expect(await contentOf(workspace)).toMatchObject({ 'dir/theirs': 'x', 'to-file': 'now a file\n' });
  });

  it('never writes through a link, also when forced', async () => {
    const outside = join(workspace, '..', 'outside');
    await put(outside, { 'c.txt': 'c\n', victim: 'safe' });
    await rm(join(workspace, 'dir'), { recursive: true });
    await symlink('../outside', join(workspace, 'dir'));
    await rm(join(workspace, 'a.txt'));
    await symlink('../outside/victim', join(workspace, 'a.txt'));
    await put(tree.root, { 'dir/c.txt': 'changed\n', 'dir/new.txt': 'new\n', 'a.txt': 'changed\n' });
    const { conflicts } = await trees.publish(tree);
    expect(conflicts.map(({ path, causes }) => [path, ...causes])).toEqual([
      ['a.txt', 'changed'],
      ['dir/c.txt', 'in_the_way'],
      ['dir/new.txt', 'in_the_way'],
    ]);
    expect(paths((await trees.publish(tree, over(conflicts))).conflicts)).toEqual(['dir/c.txt', 'dir/new.txt']);
    await put(tree.root, { 'dir/c.txt': 'c\n' });
    await rm(join(tree.root, 'dir/new.txt'));
    expect(await trees.publish(tree, over(conflicts))).toEqual({ conflicts: [] });
    expect(await contentOf(outside)).toEqual({ 'c.txt': 'c\n', victim: 'safe' });
    expect((await lstat(join(workspace, 'a.txt'))).isFile()).toBe(true);
  });

  it.each(['/etc/passwd', '../outside', 'dir/../../outside', '.git/hooks'])(
    'publishes a link to %s only where a person says so',
    async (target) => {
      await symlink(target, join(tree.root, 'link'));
      const { conflicts } = await trees.publish(tree);
      expect(conflicts).toEqual([{ path: 'link', causes: ['link_leads_out'], version: 'absent' }]);
      expect(await contentOf(workspace)).not.toHaveProperty('link');
      expect(await trees.publish(tree, over(conflicts))).toEqual({ conflicts: [] });
    },
  );

  it('refuses content that is not what was approved', async () => {
    await put(tree.root, { 'a.txt': 'reviewed\n' });
    const { contentHash } = await trees.diff(tree);
    await put(tree.root, { 'a.txt': 'something else\n' });
    await expect(trees.publish(tree, { contentHash })).rejects.toMatchObject({ code: 'content_changed' });
    expect(await readFile(join(workspace, 'a.txt'), 'utf8')).toBe('a\n');
    await put(tree.root, { 'a.txt': 'reviewed\n' });
    expect(await trees.publish(tree, { contentHash })).toEqual({ conflicts: [] });
  });

  it('lets two tasks publish at once what does not conflict', async () => {
    const other = await trees.open(TASK.replace(/1$/, '2'), 1);
    await put(tree.root, { 'a.txt': 'first\n', 'b.txt': 'first\n' });
    await put(other.root, { 'a.txt': 'second\n', 'dir/c.txt': 'second\n' });
    const results = await Promise.all([trees.publish(tree), trees.publish(other)]);
    const won = results.findIndex(({ conflicts }) => conflicts.length === 0);
    expect(results[1 - won]?.conflicts).toMatchObject([{ path: 'a.txt', causes: ['changed'] }]);
    const [name, c] = won === 0 ? ['first\n', 'c\n'] : ['second\n', 'second\n'];
    expect(await contentOf(workspace)).toMatchObject({ 'a.txt': name, 'dir/c.txt': c });
  });

  it('is taken back whole, wherever it died', async () => {
    await put(workspace, { 'gone-link': '' });
    await rm(join(workspace, 'gone-link'));
    await symlink('/etc/hostname', join(workspace, 'gone-link'));
    const held = await contentOf(workspace);
    for (let steps = 0; ; steps++) {
      const id = TASK.replace(/001$/, String(100 + steps));
      tree = await trees.open(id, 1);
      await change();
      await rm(join(tree.root, 'gone-link'));
      const died = await diesAfter(steps);
      expect(await trees.withdraw(id)).toEqual([]);
      expect(await contentOf(workspace)).toEqual(held);
      expect(await trees.exists(id)).toBe(false);
      await expect(trees.publish(tree)).rejects.toThrow(WorkTreeFencedError);
      if (!died) break;
    }
  });

  it('leaves, when it is taken back, what is not the task’s doing', async () => {
    await put(workspace, { 'same.txt': 'both wrote this\n', 'dir/c.txt': 'theirs\n' });
    await put(tree.root, { 'same.txt': 'both wrote this\n', 'a.txt': 'changed\n', 'b.txt': 'changed\n' });
    await put(tree.root, { 'dir/c.txt': 'changed\n' });
    expect(await trees.publish(tree, over((await trees.publish(tree)).conflicts))).toEqual({ conflicts: [] });
    await put(workspace, { 'b.txt': 'changed since\n' });
    expect(await trees.withdraw(TASK)).toEqual(['b.txt']);
    expect(await contentOf(workspace)).toMatchObject({
      'a.txt': 'a\n',
      'b.txt': 'changed since\n',
      'same.txt': 'both wrote this\n',
      'dir/c.txt': 'changed\n',
    });
    expect(await trees.withdraw(TASK)).toEqual([]);
  });

  it('does not publish .git', async () => {
    await put(tree.root, { '.git/hooks/pre-commit': 'evil', 'sub/.GIT/config': 'evil' });
    const { traps } = await trees.publish(tree);
    expect(await trees.publish(tree, { releasedTraps: traps!.hash })).toEqual({ conflicts: [] });
    expect(await readdir(workspace)).not.toContain('.git');
    expect(await readdir(workspace)).not.toContain('sub');
  });

  it('stops between two files once the tree is another epoch’s', async () => {
    await put(tree.root, { 'a.txt': 'changed\n', 'b.txt': 'changed\n' });
    let checks = 0;
    const fenceAfterTheFirst = {
      throwIfAborted: () => {
        if (existsSync(join(workspace, 'a.txt')) && readFileSync(join(workspace, 'a.txt'), 'utf8') === 'changed\n') {
          if (checks++ === 0) renameSync(tree.root, `${tree.root.replace('tree-', 'fenced-')}`);
        }
      },
    } as AbortSignal;
    await expect(trees.publish(tree, { signal: fenceAfterTheFirst })).rejects.toThrow(WorkTreeFencedError);
    expect(await contentOf(workspace)).toMatchObject({ 'a.txt': 'changed\n', 'b.txt': 'b\n' });
    await expect(trees.publish(tree)).rejects.toThrow(WorkTreeFencedError);
    expect(await trees.publish(await trees.open(TASK, 2))).toEqual({ conflicts: [] });
    expect(await contentOf(workspace)).toMatchObject({ 'a.txt': 'changed\n', 'b.txt': 'changed\n' });
  });
});
