import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { appendFile, lstat, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { AppConfig } from '../../../src/config/index.js';
import { WorkTrees, type WorkTree } from '../../../src/modules/tools/index.js';
import { scratch } from './sandbox-folder.js';

const ROOT = join(fileURLToPath(import.meta.url), '../../../..');
const TASK = '0190a000-0000-7000-8000-000000000001';

let folder: string;
let workspace: string;
let trees: WorkTrees;
let remove: () => Promise<void>;

beforeEach(async () => {
  const made = await scratch();
  ({ path: folder, remove } = made);
  workspace = join(folder, 'workspace');
  trees = new WorkTrees(AppConfig.from({ NOVA_WORKSPACE: workspace, NOVA_DATA_DIR: join(folder, 'data') }));
});
afterEach(() => remove());

async function put(root: string, files: Record<string, string>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
}

function git(cwd: string, ...args: string[]): string {
  const settings = [
    'user.name=Owner',
    'user.email=owner@example.test',
    'safe.directory=*',
    'protocol.file.allow=always',
  ];
  return execFileSync('git', [...settings.flatMap((setting) => ['-c', setting]), ...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

async function filesOf(tree: WorkTree): Promise<string[]> {
  const entries = await readdir(tree.root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(tree.root.length + 1))
    .filter((path) => !path.startsWith('.git/'))
    .sort();
}

/** A repository with one commit, in `path`. */
async function repository(path: string, ...init: string[]): Promise<void> {
  await put(path, { '.gitignore': '.env\nnode_modules/\n', 'a.txt': 'a\n', 'dir/b.txt': 'b\n' });
  git(path, 'init', '-q', '-b', 'main', ...init);
  git(path, 'add', '-A');
  git(path, 'commit', '-q', '-m', 'first');
}

const SECRETS = { '.env': 'SECRET=1', 'node_modules/x/index.js': 'x', 'dir/.env': 'SECRET=2' };
const WORK = ['.gitignore', 'a.txt', 'dir/b.txt'];

describe('a workspace that is a repository', () => {
  const forms: [string, () => Promise<void>][] = [
    ['of its own', () => repository(workspace)],
    [
      'that is a linked work tree of another',
      async () => {
        await repository(join(folder, 'main'));
        git(join(folder, 'main'), 'worktree', 'add', '-q', workspace, '-b', 'work');
      },
    ],
    [
      'that was cloned in part',
      async () => {
        await repository(join(folder, 'main'));
        git(join(folder, 'main'), 'config', 'uploadpack.allowFilter', 'true');
        git(folder, 'clone', '-q', '--filter=blob:none', `file://${join(folder, 'main')}`, workspace);
      },
    ],
    [
      'that is a sparse checkout with a sparse index',
      async () => {
        await repository(workspace);
        await put(workspace, { 'elsewhere/c.txt': 'c\n' });
        git(workspace, 'add', '-A');
        git(workspace, 'commit', '-q', '-m', 'second');
        git(workspace, 'sparse-checkout', 'set', '--cone', '--sparse-index', 'dir');
      },
    ],
    [
      'with a split index',
      async () => {
        await repository(workspace);
        git(workspace, '-c', 'core.splitIndex=true', 'update-index', '--split-index');
      },
    ],
    ['with SHA-256 names', () => repository(workspace, '--object-format=sha256')],
    [
      'that is a submodule of another',
      async () => {
        await repository(join(folder, 'main'));
        await repository(join(folder, 'super'));
        git(join(folder, 'super'), 'submodule', 'add', '-q', join(folder, 'main'), 'sub');
        workspace = join(folder, 'super/sub');
        trees = new WorkTrees(AppConfig.from({ NOVA_WORKSPACE: workspace, NOVA_DATA_DIR: join(folder, 'data') }));
      },
    ],
  ];

  it.each(forms)('%s keeps what is ignored out, and its history', async (_, make) => {
    await make();
    await put(workspace, SECRETS);
    const tree = await trees.open(TASK, 1);
    expect(await filesOf(tree)).toEqual(WORK);
    expect(git(tree.root, 'log', '--format=%s')).toContain('first');
    expect(git(tree.root, 'status', '--porcelain')).toBe(git(workspace, 'status', '--porcelain'));
    expect((await lstat(join(tree.root, '.git'))).isDirectory()).toBe(true);
    expect((await trees.diff(tree)).files).toEqual([]);
  });

  it('that borrows objects keeps what is ignored out, and has no history of another', async () => {
    await repository(join(folder, 'main'));
    git(folder, 'clone', '-q', '--shared', join(folder, 'main'), workspace);
    await put(workspace, SECRETS);
    const tree = await trees.open(TASK, 1);
    expect(await filesOf(tree)).toEqual(WORK);
    await expect(lstat(join(tree.root, '.git'))).rejects.toThrow('ENOENT');
  });

  it('applies the rules of info/exclude, and of an excludes file that it names', async () => {
    await repository(workspace);
    await put(folder, { rules: 'by-link\n', 'more-rules': 'by-name\n' });
    await put(workspace, { 'by-link': 's', 'by-name': 's', 'by-nobody': 'x' });
    await rm(join(workspace, '.git/info/exclude'), { force: true });
    await symlink(join(folder, 'rules'), join(workspace, '.git/info/exclude'));
    git(workspace, 'config', 'core.excludesFile', join(folder, 'more-rules'));
    expect(await filesOf(await trees.open(TASK, 1))).toEqual([...WORK, 'by-nobody'].sort());
  });

  it('applies rules that a sparse checkout left in the index', async () => {
    await repository(workspace);
    await put(workspace, { 'dir/inner/.gitignore': 'hidden\n' });
    git(workspace, 'add', '-A');
    git(workspace, 'commit', '-q', '-m', 'second');
    git(workspace, 'sparse-checkout', 'set', '--no-cone', '/dir/b.txt');
    await put(workspace, { ...SECRETS, 'dir/inner/hidden': 's', 'dir/inner/shown': 'x' });
    expect(await readdir(workspace)).not.toContain('.gitignore');
    expect(await filesOf(await trees.open(TASK, 1))).toEqual(['dir/b.txt', 'dir/inner/shown']);
  });

  it('stops where such rules were never fetched', async () => {
    await repository(join(folder, 'main'));
    git(join(folder, 'main'), 'config', 'uploadpack.allowFilter', 'true');
    const from = `file://${join(folder, 'main')}`;
    git(folder, 'clone', '-q', '--filter=blob:none', '--no-checkout', from, workspace);
    git(workspace, 'sparse-checkout', 'set', '--no-cone', '/dir/');
    git(workspace, 'checkout', '-q', 'main');
    await put(workspace, SECRETS);
    const refused = trees.open(TASK, 1);
    await expect(refused).rejects.toMatchObject({ code: 'workspace_unreadable' });
    await expect(refused).rejects.toThrow('.gitignore is not checked out, and its rules cannot be read');
  });

  describe('applies the rules of the user of git', () => {
    const before = { ...process.env };
    afterEach(() => {
      for (const name of ['HOME', 'XDG_CONFIG_HOME', 'GIT_CONFIG_GLOBAL']) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
    });

    it.each<[string, () => Promise<void>]>([
      ['in the usual place', () => put(folder, { 'home/.config/git/ignore': 'mine\n' })],
      [
        'in the place of XDG_CONFIG_HOME',
        async () => {
          process.env['XDG_CONFIG_HOME'] = join(folder, 'xdg');
          await put(folder, { 'xdg/git/ignore': 'mine\n' });
        },
      ],
      [
        'that the settings name',
        () => put(folder, { 'home/.gitconfig': '[core]\n\texcludesFile = ~/rules\n', 'home/rules': 'mine\n' }),
      ],
      [
        'that other settings name',
        async () => {
          process.env['GIT_CONFIG_GLOBAL'] = join(folder, 'settings');
          await put(folder, { settings: `[core]\n\texcludesFile = ${folder}/rules\n`, rules: 'mine\n' });
        },
      ],
      [
        'for repositories of this place only',
        async () => {
          const condition = `[includeIf "gitdir:${workspace}/.git"]\n\tpath = more\n`;
          await put(folder, {
            'home/.gitconfig': condition,
            'home/more': `[core]\n\texcludesFile = ${folder}/rules\n`,
            rules: 'mine\n',
          });
        },
      ],
      [
        'without regard to case',
        () => put(folder, { 'home/.gitconfig': '[core]\n\tignoreCase = true\n', 'home/.config/git/ignore': 'MINE\n' }),
      ],
    ])('%s', async (_, settle) => {
      await repository(workspace);
      process.env['HOME'] = join(folder, 'home');
      delete process.env['XDG_CONFIG_HOME'];
      await settle();
      await put(workspace, { mine: 's', other: 'x' });
      expect(await filesOf(await trees.open(TASK, 1))).toEqual([...WORK, 'other'].sort());
    });
  });

  const asRoot = process.getuid?.() === 0 ? it : it.skip;
  asRoot('keeps what is ignored out where the repository is of another user', async () => {
    await repository(workspace);
    await put(workspace, SECRETS);
    execFileSync('chown', ['-R', '12345:12345', workspace]);
    const tree = await trees.open(TASK, 1);
    expect(await filesOf(tree)).toEqual(WORK);
    expect(git(tree.root, 'log', '--format=%s')).toContain('first');
  });

  asRoot('keeps what is ignored out for a user without HOME and without an entry in passwd', async () => {
    await repository(workspace);
    await put(workspace, SECRETS);
    execFileSync('chown', ['-R', '12345:12345', folder]);
    const dist = (path: string): string => JSON.stringify(join(ROOT, 'dist', path));
    const settings = JSON.stringify({ NOVA_WORKSPACE: workspace, NOVA_DATA_DIR: join(folder, 'data') });
    const script = `
      await import('reflect-metadata');
      const { AppConfig } = await import(${dist('config/index.js')});
      const { WorkTrees } = await import(${dist('modules/tools/index.js')});
      const tree = await new WorkTrees(AppConfig.from(${settings})).open('${TASK}', 1);
      process.stdout.write(tree.root, () => process.exit());`;
    const options = {
      cwd: ROOT,
      uid: 12_345,
      gid: 12_345,
      env: { PATH: process.env['PATH'] ?? '' },
      encoding: 'utf8',
    } as const;
    const root = execFileSync(process.execPath, ['--input-type=module', '-e', script], options);
    expect(await filesOf({ root } as WorkTree)).toEqual(WORK);
  });

  it('with the newest storage of references works, or is refused by a git that does not know it', async () => {
    const version = /(\d+)\.(\d+)/.exec(git(folder, '--version')) ?? [];
    if (Number(version[1]) * 1000 + Number(version[2]) >= 2045) {
      await repository(workspace, '--ref-format=reftable');
      await put(workspace, SECRETS);
      const tree = await trees.open(TASK, 1);
      expect(await filesOf(tree)).toEqual(WORK);
      expect(git(tree.root, 'log', '--format=%s')).toContain('first');
      return;
    }
    await repository(workspace);
    await put(workspace, SECRETS);
    await configure('[core]\n\trepositoryformatversion = 1\n[extensions]\n\trefStorage = reftable\n');
    const refused = trees.open(TASK, 1);
    await expect(refused).rejects.toMatchObject({ code: 'workspace_unreadable' });
    await expect(refused).rejects.toThrow('refstorage');
  });

  it.each<[string, Record<string, string>, string[]]>([
    ['a submodule', {}, ['.gitmodules']],
    ['a repository that it does not know', { untracked: '1' }, []],
  ])('keeps out what is ignored in %s', async (_, { untracked }, more) => {
    await repository(join(folder, 'inner'));
    await repository(workspace);
    if (untracked) git(folder, 'clone', '-q', join(folder, 'inner'), join(workspace, 'sub'));
    else git(workspace, 'submodule', 'add', '-q', join(folder, 'inner'), 'sub');
    await put(join(workspace, 'sub'), { ...SECRETS, 'new.txt': 'n' });
    const inner = [...WORK, 'new.txt'].map((path) => `sub/${path}`);
    expect(await filesOf(await trees.open(TASK, 1))).toEqual([...WORK, ...more, ...inner].sort());
  });

  const broken: [string, string, () => Promise<unknown>][] = [
    ['names a repository that does not know it', '.git', () => elsewhere('file')],
    ['has a .git that is a link', '.git', () => elsewhere('link')],
    ['is a copy of a linked work tree', '.git', copiedWorkTree],
    ['has the repository of another folder', '.git', async () => git(workspace, 'config', 'core.worktree', '/')],
    ['has lost its HEAD', '.git', () => rm(join(workspace, '.git/HEAD'))],
    ['has a damaged index', '.', () => writeFile(join(workspace, '.git/index'), 'DIRC damaged')],
    ['has a newer format', '.git', async () => configure('[core]\n\trepositoryformatversion = 99\n')],
    ['has an unknown extension', '.git', async () => configure('[extensions]\n\tpaths = hidden\n')],
    ['has a pipe as .gitignore', '.gitignore', () => pipe('.gitignore')],
    ['has a pipe as a rule file further down', 'dir/.gitignore', () => pipe('dir/.gitignore')],
    ['has a pipe as a rule file among untracked files', 'new/.gitignore', () => pipe('new/.gitignore')],
    ['has a pipe as info/exclude', '.git/info/exclude', () => pipe('.git/info/exclude')],
    ['has a link as .gitignore', '.gitignore', linkedRules],
    ['names a folder as excludes file', '/', async () => git(workspace, 'config', 'core.excludesFile', '/')],
  ];
  it.each(broken)('that %s is refused with the place and the reason', async (_, path, spoil) => {
    await repository(workspace);
    await put(workspace, SECRETS);
    await spoil();
    const refused = trees.open(TASK, 1);
    await expect(refused).rejects.toMatchObject({ code: 'workspace_unreadable' });
    await expect(refused).rejects.toThrow(`"${path}" `);
    expect(await readdir(join(folder, 'data/trees'))).toEqual([]);
  });

  async function configure(text: string): Promise<void> {
    await appendFile(join(workspace, '.git/config'), text);
  }

  async function elsewhere(how: 'file' | 'link'): Promise<void> {
    await rename(join(workspace, '.git'), join(folder, 'elsewhere'));
    if (how === 'link') await symlink('../elsewhere', join(workspace, '.git'));
    else await writeFile(join(workspace, '.git'), 'gitdir: ../elsewhere');
  }

  async function copiedWorkTree(): Promise<void> {
    git(workspace, 'worktree', 'add', '-q', join(folder, 'linked'), '-b', 'work');
    await rename(join(workspace, '.git'), join(folder, 'elsewhere'));
    const pointer = await readFile(join(folder, 'linked/.git'), 'utf8');
    await writeFile(join(workspace, '.git'), pointer.replace(join(workspace, '.git'), join(folder, 'elsewhere')));
  }

  async function pipe(path: string): Promise<void> {
    await mkdir(dirname(join(workspace, path)), { recursive: true });
    await rm(join(workspace, path), { force: true });
    execFileSync('mkfifo', [join(workspace, path)]);
  }

  async function linkedRules(): Promise<void> {
    await rename(join(workspace, '.gitignore'), join(workspace, 'rules'));
    await symlink('rules', join(workspace, '.gitignore'));
  }
});

describe('a workspace of any kind', () => {
  it('with folders nested too deeply is refused with the path', async () => {
    await mkdir(join(workspace, 'd/'.repeat(66)), { recursive: true });
    await expect(trees.open(TASK, 1)).rejects.toMatchObject({
      code: 'workspace_unreadable',
      message: expect.stringContaining('"d/d/d/'),
    });
  });

  it('keeps out what is ignored in a repository below it', async () => {
    await repository(join(workspace, 'project'));
    await put(join(workspace, 'project'), SECRETS);
    expect(await filesOf(await trees.open(TASK, 1))).toEqual(WORK.map((path) => `project/${path}`));
  });

  it('that is written meanwhile gives a tree that is as its base', async () => {
    await put(workspace, Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`d${n % 7}/f${n}`, `${n}`])));
    const writer = new Worker(
      `const { workerData } = require('node:worker_threads');
       const { appendFileSync, rmSync, writeFileSync } = require('node:fs');
       for (let n = 0; ; n++) {
         appendFileSync(workerData + '/d1/f1', 'x');
         writeFileSync(workerData + '/d2/come-and-go', 'x'.repeat(n % 5000));
         rmSync(workerData + '/d2/come-and-go');
       }`,
      { eval: true, workerData: workspace },
    );
    await new Promise((resolve) => writer.once('online', resolve));
    const tree = await trees.open(TASK, 1);
    await writer.terminate();
    expect((await trees.diff(tree)).files).toEqual([]);
    await appendFile(join(tree.root, 'd1/f1'), 'y');
    expect((await trees.diff(tree)).files).toMatchObject([{ path: 'd1/f1' }]);
  });
});
