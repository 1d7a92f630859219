/** @needs bwrap */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AppConfig } from '../../../src/config/index.js';
import { TurnTree } from '../../../src/modules/tasks/turn-tree.js';
import { ToolRegistry, WorkTrees, type ToolContext, type ToolResult } from '../../../src/modules/tools/index.js';
import { COMMAND_TOOLS, FILE_TOOLS } from '../../../src/modules/tools/builtin-tools.js';
import { Places } from '../../../src/modules/tools/files/places.js';
import { BOX_USER } from '../../../src/modules/tools/sandbox/box-user.js';
import { Sandbox } from '../../../src/modules/tools/sandbox/sandbox.js';
import { contextFor, scratch } from '../tools/sandbox-folder.js';

const ID = '0190a000-0000-7000-8000-00000000000a';

let workspace: string;
let dataDir: string;
let trees: WorkTrees;
let registry: ToolRegistry;
let remove: () => Promise<void>;
let tree: TurnTree;
let turn: AbortController;

/** One probe of the sandbox for all tests: nothing of it depends on where the workspace is. */
class OneSandbox extends Sandbox {
  private static verdict: ReturnType<Sandbox['state']> | undefined;
  override state(): ReturnType<Sandbox['state']> {
    return (OneSandbox.verdict ??= super.state());
  }
}

beforeEach(async () => {
  const made = await scratch();
  remove = made.remove;
  workspace = join(made.path, 'workspace');
  dataDir = join(made.path, 'data');
  mkdirSync(workspace);
  use({});
});
afterEach(() => remove());

/** A service with this workspace and a turn in it. */
function use(settings: Record<string, string>): void {
  const config = AppConfig.from({ NOVA_WORKSPACE: workspace, NOVA_DATA_DIR: dataDir, ...settings });
  trees = new WorkTrees(config);
  registry = new ToolRegistry();
  for (const tool of FILE_TOOLS) registry.register(new tool(new Places(config)));
  const sandbox = new OneSandbox(config);
  for (const tool of COMMAND_TOOLS) registry.register(new tool(sandbox));
  begin();
}

function begin(id = ID): void {
  turn = new AbortController();
  tree = new TurnTree(trees, id, workspace, turn.signal);
}

function put(files: Record<string, string>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(workspace, path)), { recursive: true });
    writeFileSync(join(workspace, path), content);
  }
}

/** Where the service is root, the box's user works in the workspace. */
function giveToBox(): void {
  if (process.geteuid?.() === 0) execFileSync('chown', ['-R', `${BOX_USER.uid}:${BOX_USER.gid}`, workspace]);
}

function git(...args: string[]): string {
  const identity = ['-c', 'user.name=Owner', '-c', 'user.email=owner@example.test', '-c', 'safe.directory=*'];
  return execFileSync('git', [...identity, ...args], { cwd: workspace, encoding: 'utf8' });
}

function repository(files: Record<string, string>): void {
  put(files);
  git('init', '-q', '-b', 'main');
  git('add', '-A');
  git('commit', '-q', '-m', 'first');
  giveToBox();
}

const text = (path: string): string => readFileSync(join(workspace, path), 'utf8');
const has = (path: string): boolean => existsSync(join(workspace, path));
const madeTrees = (): string[] => (existsSync(join(dataDir, 'trees')) ? readdirSync(join(dataDir, 'trees')) : []);

function call(name: string, args: object = {}): Promise<ToolResult> {
  const context: ToolContext = contextFor(workspace, {
    signal: turn.signal,
    tree,
    work: { kind: 'turn', id: ID },
  });
  return registry.execute(name, JSON.stringify(args), null, context);
}

const write = (path: string, content: string): Promise<ToolResult> => call('write_file', { path, content });
const shell = (command: string): Promise<ToolResult> => call('run_shell', { command });

describe('a turn outside a task', () => {
  it('makes a tree at its first call that may write, reads its own files from then on, and publishes them at its end', async () => {
    put({ 'a.txt': 'one\n' });
    expect((await call('read_file', { path: 'a.txt' })).text).toContain('one');
    expect(madeTrees()).toEqual([]);
    await Promise.all([write('b.txt', 'new\n'), write('a.txt', 'two\n')]);
    expect((await shell('cat a.txt b.txt')).text).toContain('two\nnew\n');
    expect((await call('read_file', { path: 'a.txt' })).text).toContain('two');
    expect(text('a.txt')).toBe('one\n');
    expect(has('b.txt')).toBe(false);
    expect(await tree.publish()).toBeNull();
    await tree.end(true);
    expect([text('a.txt'), text('b.txt')]).toEqual(['two\n', 'new\n']);
    expect(madeTrees()).toEqual([]);
  });

  it('that ends in any other way publishes nothing, also where it was publishing', async () => {
    put({ 'a.txt': 'one\n', 'gone.txt': 'here\n' });
    await write('a.txt', 'two\n');
    await shell('rm gone.txt; mkdir d; echo x > d/new.txt');
    await tree.end(false);
    expect([text('a.txt'), text('gone.txt'), has('d')]).toEqual(['one\n', 'here\n', false]);
    begin();
    await write('a.txt', 'two\n');
    await shell('rm gone.txt; mkdir d; echo x > d/new.txt');
    await tree.publish();
    expect([text('a.txt'), has('gone.txt'), has('d/new.txt')]).toEqual(['two\n', false, true]);
    await tree.end(false);
    expect([text('a.txt'), text('gone.txt'), has('d')]).toEqual(['one\n', 'here\n', false]);
    expect(madeTrees()).toEqual([]);
  });

  it('that died in mid-publish is swept by how it ended: taken back, or kept', async () => {
    for (const [fate, left] of [
      ['given_up', 'one\n'],
      ['complete', 'two\n'],
      ['unfinished', 'two\n'],
    ] as const) {
      put({ 'a.txt': 'one\n' });
      begin();
      await write('a.txt', 'two\n');
      await tree.publish();
      await trees.sweep(async () => new Map([[ID, fate]]));
      expect({ fate, text: text('a.txt'), trees: madeTrees() }).toEqual({
        fate,
        text: left,
        trees: fate === 'unfinished' ? [ID] : [],
      });
    }
  });

  it('leaves a file that the workspace has changed meanwhile, names it, and publishes the rest', async () => {
    put({ 'a.txt': 'one\n', 'b.txt': 'one\n', 'deleted.txt': 'one\n' });
    await write('a.txt', 'turn\n');
    await write('b.txt', 'turn\n');
    await shell('rm deleted.txt; echo turn > added.txt; ln -s /etc/passwd out');
    put({ 'a.txt': 'owner\n', 'deleted.txt': 'owner\n', 'added.txt': 'owner\n' });
    expect(await tree.publish()).toBe(
      'Not published, so that the workspace keeps its own version. ' +
        'The workspace changed meanwhile: a.txt, added.txt, deleted.txt. A link leads out of the workspace or into .git: out.',
    );
    await tree.end(true);
    expect(['a.txt', 'b.txt', 'deleted.txt', 'added.txt'].map(text)).toEqual([
      'owner\n',
      'turn\n',
      'owner\n',
      'owner\n',
    ]);
    expect(has('out')).toBe(false);
  });

  it('is told that no tree can be made, and goes on', async () => {
    put({ 'a.txt': 'one\n', 'b.txt': 'two\n' });
    use({ TREE_MAX_FILES: '1' });
    for (const done of [await write('a.txt', 'x'), await shell('echo x > a.txt'), await call('git_status')]) {
      expect(done).toMatchObject({ isError: true, text: expect.stringContaining('workspace_too_large') });
    }
    expect(text('a.txt')).toBe('one\n');
    rmSync(join(workspace, 'b.txt'));
    expect((await write('a.txt', 'x')).isError).toBeUndefined();
  });

  it('is told of a listing that fails, which is never taken for nothing being ignored', async () => {
    repository({ 'a.txt': 'one\n', '.gitignore': '*.log\n', 'secret.log': 'words\n' });
    expect((await call('read_file', { path: 'secret.log' })).isError).toBe(true);
    rmSync(join(workspace, '.gitignore'));
    execFileSync('mkfifo', [join(workspace, '.gitignore')]);
    begin();
    for (const done of [await call('read_file', { path: 'secret.log' }), await write('a.txt', 'x')]) {
      expect(done).toMatchObject({
        isError: true,
        text: expect.stringMatching(/workspace_unreadable: .*\.gitignore/s),
      });
    }
  });

  it('that is cut while its tree is made, or while it publishes, leaves nothing', async () => {
    put({ 'a.txt': 'one\n' });
    const cut = write('a.txt', 'two\n');
    turn.abort(new Error('cancelled'));
    await expect(cut).rejects.toThrow('cancelled');
    await tree.end(false);
    begin();
    await write('a.txt', 'two\n');
    turn.abort(new Error('cancelled'));
    await expect(tree.publish()).rejects.toThrow('cancelled');
    await tree.end(false);
    expect([text('a.txt'), madeTrees()]).toEqual(['one\n', []]);
  });
});

describe('what the owner’s git would obey', () => {
  const ATTRIBUTES = '* filter=evil\n';

  it.each<[string, string, string[], string[]]>([
    ['a repository', 'git init -q lib', ['lib/.git (a .git)'], []],
    ['a .git in another spelling', "mkdir lib; echo 'gitdir: /tmp/x' > lib/.GIT", ['lib/.GIT (a .git)'], []],
    ['a bare repository', 'git init -q --bare lib.git; echo x > kept', ['lib.git/ (a repository)'], ['kept']],
    [
      'the root as one',
      'echo ref: refs/heads/x > HEAD; mkdir objects refs; echo x > kept',
      ['./ (a repository)'],
      ['kept'],
    ],
    [
      'a repository by its commondir',
      'mkdir r; echo ref: refs/heads/x > r/HEAD; echo ../c > r/commondir; echo x > r/kept',
      ['r/ (a repository)'],
      ['r/kept'],
    ],
    ['submodules', 'printf \'[submodule "x"]\\n update = !id\\n\' > .gitmodules', ['.gitmodules (submodules)'], []],
    [
      'attributes',
      `echo '${ATTRIBUTES.trim()}' > sub/.gitattributes`,
      ['sub/.gitattributes (a program for files)'],
      [],
    ],
    ['a link for attributes', 'ln -s a.txt sub/.gitattributes', ['sub/.gitattributes (a program for files)'], []],
  ])('is taken back, and the tool says so: %s', async (_, command, told, kept) => {
    repository({ 'a.txt': 'one\n', 'sub/x': 'x\n', '.gitattributes': '*.txt text\n' });
    const done = await shell(command);
    expect(done).toMatchObject({ isError: true });
    expect(done.text).toContain(`[Undone, since the workspace owner's git would obey it: ${told.join(', ')}.]`);
    expect((await write('b.txt', 'two\n')).isError).toBeUndefined();
    expect(await tree.publish()).toBeNull();
    await tree.end(true);
    const changed = git('status', '--porcelain', '-uall').split('\n').filter(Boolean);
    expect(changed.sort()).toEqual(['b.txt', ...kept].map((path) => `?? ${path}`).sort());
  });

  it('is taken back where a file tool makes it, and a file that was there is as it was', async () => {
    repository({ 'a.txt': 'one\n', '.gitattributes': '*.txt text\n', '.gitmodules': '[submodule "x"]\n' });
    expect((await write('.gitattributes', ATTRIBUTES)).text).toContain('Undone');
    expect((await call('edit_file', { path: '.gitmodules', old: '"x"', new: '"y"' })).text).toContain('Undone');
    expect((await call('read_file', { path: '.gitattributes' })).text).toContain('*.txt text');
    await write('r/HEAD', 'ref: refs/heads/main\n');
    await write('r/objects/x', '');
    expect((await write('r/refs/x', '')).text).toContain('r/ (a repository)');
    await tree.publish();
    await tree.end(true);
    expect(git('status', '--porcelain')).toBe('');
  });

  it('in a repository that was there is all that was written in it', async () => {
    put({ 'fixture/HEAD': 'ref: refs/heads/x\n', 'fixture/objects/o': '', 'fixture/refs/r': '', 'fixture/config': '' });
    const done = await shell('echo "[core] fsmonitor = id" > fixture/config; echo x > fixture/hooks; echo x > kept');
    expect(done.text).toContain('fixture/ (a repository)');
    expect(await tree.publish()).toBeNull();
    expect([text('fixture/config'), has('fixture/hooks'), has('kept')]).toEqual(['', false, true]);
  });

  it('goes with all that the turn has done where there is too much of it', async () => {
    put({ 'a.txt': 'one\n' });
    await write('a.txt', 'two\n');
    const done = await shell('for i in $(seq 600); do mkdir -p d$i; echo x > d$i/.git; done');
    expect(done.text).toContain('Undone with all that this turn has changed');
    expect((await call('read_file', { path: 'a.txt' })).text).toContain('one');
    expect(await tree.publish()).toBeNull();
    expect(readdirSync(workspace)).toEqual(['a.txt']);
  });

  it('goes with all that the turn has done where the tree cannot be looked at', async () => {
    put({ 'a.txt': 'one\n' });
    const done = await shell('echo two > a.txt; p=.; for i in $(seq 80); do p=$p/d; mkdir $p; done');
    expect(done.text).toContain('nested more than 64 folders deep');
    expect(await tree.publish()).toBeNull();
    expect([text('a.txt'), readdirSync(workspace)]).toEqual(['one\n', ['a.txt']]);
  });

  it('only together with what only the workspace has is taken back before it is published', async () => {
    repository({ 'a.txt': 'one\n', '.gitignore': 'lib/objects\nlib/refs\n' });
    put({ 'lib/objects/x': '', 'lib/refs/x': '' });
    expect((await write('lib/HEAD', 'ref: refs/heads/main\n')).text).toContain('lib/ (a repository)');
    await tree.publish();
    expect(has('lib/HEAD')).toBe(false);
  });

  it('is no ordinary work with names alike', async () => {
    repository({ 'a.txt': 'one\n', '.gitattributes': '*.txt text\n' });
    const done = await shell(
      'mkdir -p r/objects r/refs; echo x > r/HEADER; echo x > .gitignore; echo "*.md text" >> .gitattributes',
    );
    expect(done.isError).toBeUndefined();
    expect(await tree.publish()).toBeNull();
    expect(text('.gitattributes')).toBe('*.txt text\n*.md text\n');
  });
});

describe('git_commit in a turn', () => {
  it('publishes the tree, commits in the workspace’s repository, and the turn goes on with what was committed', async () => {
    repository({ 'a.txt': 'one\n' });
    await write('a.txt', 'two\n');
    await write('b.txt', 'new\n');
    const done = await call('git_commit', { message: 'second', files: ['a.txt', 'b.txt'] });
    expect(done).not.toHaveProperty('isError');
    expect(git('log', '--format=%s')).toBe('second\nfirst\n');
    expect(git('status', '--porcelain')).toBe('');
    expect((await call('git_log')).text).toContain('second');
    await write('c.txt', 'later\n');
    await tree.end(false);
    expect(git('status', '--porcelain')).toBe('');
    expect([text('b.txt'), has('c.txt')]).toEqual(['new\n', false]);
  });

  it('without a tree commits what the workspace holds, and makes none', async () => {
    repository({ 'a.txt': 'one\n' });
    put({ 'a.txt': 'two\n' });
    expect(await call('git_commit', { message: 'second', files: ['a.txt'] })).not.toHaveProperty('isError');
    expect(git('log', '--format=%s')).toBe('second\nfirst\n');
    expect(madeTrees()).toEqual([]);
  });

  it('commits nothing over a version that the workspace has of its own', async () => {
    repository({ 'a.txt': 'one\n' });
    await write('a.txt', 'turn\n');
    await write('b.txt', 'turn\n');
    put({ 'a.txt': 'owner\n' });
    const done = await call('git_commit', { message: 'second', files: ['b.txt'] });
    expect(done).toMatchObject({
      isError: true,
      text: 'Nothing was committed. The workspace changed meanwhile: a.txt.',
    });
    expect([git('log', '--format=%s'), text('a.txt'), has('b.txt')]).toEqual(['first\n', 'owner\n', false]);
  });

  it('runs no program that leaves anything in the workspace', async () => {
    repository({ 'a.txt': 'one\n', '.gitattributes': '*.txt filter=fmt\n', 'fmt.sh': '#!/bin/sh\ncat\n' });
    execFileSync('chmod', ['755', join(workspace, 'fmt.sh')]);
    git('config', 'filter.fmt.clean', './fmt.sh');
    git('add', '-A');
    git('commit', '-q', '--allow-empty', '-m', 'filter');
    giveToBox();
    await write('fmt.sh', '#!/bin/sh\nmkdir -p lib/.git\necho x > left.txt\ncat\n');
    await write('a.txt', 'two\n');
    await call('git_commit', { message: 'second', files: ['a.txt'] });
    expect([has('lib'), has('left.txt')]).toEqual([false, false]);
    expect(git('log', '--format=%s')).toBe('second\nfilter\nfirst\n');
  });

  it('waits for other calls in the tree, and they for it', async () => {
    repository({ 'a.txt': 'one\n' });
    await write('a.txt', 'two\n');
    const [slow, commit, later] = await Promise.all([
      shell('for i in $(seq 20000); do :; done; echo slow > slow.txt'),
      call('git_commit', { message: 'second', files: ['a.txt'] }),
      shell('cat slow.txt'),
    ]);
    for (const done of [slow, commit, later]) expect(done).not.toHaveProperty('isError');
    expect(later.text).toContain('slow');
    expect(text('slow.txt')).toBe('slow\n');
  });
});

it('a workspace that is a link is worked on all the same', async () => {
  const link = `${workspace}-link`;
  symlinkSync(workspace, link);
  put({ 'a.txt': 'one\n' });
  use({ NOVA_WORKSPACE: link });
  await write('a.txt', 'two\n');
  await tree.publish();
  expect(text('a.txt')).toBe('two\n');
});
