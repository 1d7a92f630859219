/** @needs bwrap */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppConfig } from '../../../src/config/index.js';
import { ToolRegistry, WorkTrees, type ToolContext, type ToolResult } from '../../../src/modules/tools/index.js';
import { COMMAND_TOOLS, FILE_TOOLS } from '../../../src/modules/tools/builtin-tools.js';
import { Places } from '../../../src/modules/tools/files/places.js';
import { BOX_USER } from '../../../src/modules/tools/sandbox/box-user.js';
import { Sandbox } from '../../../src/modules/tools/sandbox/sandbox.js';
import { contextFor, scratch } from './sandbox-folder.js';
import { eventually } from '../../support/eventually.js';

let folder: string;
let workspace: string;
let remove: () => Promise<void>;
let registry: ToolRegistry;
let trees: WorkTrees;
let context: ToolContext;

beforeEach(async () => {
  ({ path: folder, remove } = await scratch());
  workspace = join(folder, 'workspace');
  mkdirSync(workspace);
  const config = AppConfig.from({ NOVA_WORKSPACE: workspace, NOVA_DATA_DIR: join(folder, 'data') });
  registry = registryOf(config);
  trees = new WorkTrees(config);
  put({ 'a.txt': 'one\n', '.gitignore': '*.log\n' });
  git('init', '-q', '-b', 'main');
  git('add', '-A');
  git('commit', '-q', '-m', 'first');
  context = contextFor((await trees.open('task-1', 1)).root);
});
afterEach(() => remove());

function registryOf(config: AppConfig): ToolRegistry {
  const tools = new ToolRegistry();
  for (const tool of FILE_TOOLS) tools.register(new tool(new Places(config)));
  const sandbox = new Sandbox(config);
  for (const tool of COMMAND_TOOLS) tools.register(new tool(sandbox));
  return tools;
}

function put(files: Record<string, string>, root = workspace): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
    if (process.geteuid?.() === 0 && root !== workspace) chownSync(join(root, path), BOX_USER.uid, BOX_USER.gid);
  }
}

function git(...args: string[]): string {
  const identity = ['-c', 'user.name=Owner', '-c', 'user.email=owner@example.test', '-c', 'safe.directory=*'];
  return execFileSync('git', [...identity, ...args], { cwd: workspace, encoding: 'utf8' });
}

const call = (name: string, args: object = {}): Promise<ToolResult> =>
  registry.execute(name, JSON.stringify(args), null, context);

describe('the list of tools', () => {
  it('is the specified one, and empty of these in the tier isolated', async () => {
    expect(registry.describe().map(({ category, tools }) => [category, tools.map(({ name }) => name)])).toEqual([
      ['files', ['list_dir', 'read_file', 'write_file', 'edit_file', 'search_codebase']],
      ['git', ['git_status', 'git_diff', 'git_log', 'git_commit']],
      ['shell', ['run_shell']],
    ]);
    expect(registry.offered(null, 'isolated')).toEqual([]);
    for (const { name } of registry.offered(null, 'workspace')) {
      const result = await registry.execute(name, '{}', null, { ...context, tier: 'isolated' });
      expect(result).toEqual({ isError: true, text: expect.stringContaining('"isolated"') });
    }
  });

  it('says which of them write', () => {
    const writing = registry
      .describe()
      .flatMap(({ tools }) => tools.filter(({ name }) => registry.holdsWriting([name])));
    expect(writing.map(({ name }) => name)).toEqual(['write_file', 'edit_file', 'git_commit', 'run_shell']);
  });
});

describe('run_shell', () => {
  it('works in the tree, says how it ended and behind what, and its files are those of the file tools', async () => {
    const shell = await call('run_shell', { command: 'cat a.txt; mkdir sub; echo two > sub/b.txt; exit 3' });
    expect(shell.isError).toBe(true);
    expect(shell.text).toContain('[exit code 3; sandbox workspace, network off]\none\n');
    expect((await call('read_file', { path: '/workspace/sub/b.txt' })).text).toContain('two');
    expect((await call('edit_file', { path: 'sub/b.txt', old: 'two', new: 'three' })).isError).toBeUndefined();
    expect((await call('run_shell', { command: 'echo more >> b.txt; cat b.txt', working_dir: 'sub' })).text).toContain(
      'three\nmore',
    );
    const tree = await trees.open('task-1', 1);
    expect((await trees.diff(tree)).files).toMatchObject([{ path: 'sub/b.txt', change: 'added' }]);
  });

  it('ends a command at its timeout', async () => {
    const result = await call('run_shell', { command: 'echo begun; sleep 60', timeout_seconds: 5 });
    expect(result).toMatchObject({
      isError: true,
      text: expect.stringContaining('[killed after 5 s; sandbox workspace'),
    });
    expect(result.text).toContain('begun');
  });

  it('says of a long output how much of it is cut', async () => {
    const { text } = await call('run_shell', { command: 'seq 1 100000' });
    const [, head = '', cut = '', tail = ''] =
      /network off]\n([^]*)\n\[… (\d+) bytes cut …]\n([^]*)\n<\/tool_output/.exec(text) ?? [];
    expect(text.match(/bytes cut/g)).toHaveLength(1);
    expect(head.length + Number(cut) + tail.length).toBe(588_895);
  });

  it('refuses a folder that leads out', async () => {
    expect((await call('run_shell', { command: 'pwd', working_dir: '../..' })).text).toContain('..');
    symlinkSync('/etc', join(context.root, 'etc'));
    expect((await call('run_shell', { command: 'cat shadow', working_dir: 'etc' })).text).not.toContain('root:');
  });

  it('is cancelled with its call', async () => {
    const abort = new AbortController();
    const running = registry.execute('run_shell', '{"command":"touch begun; sleep 60"}', null, {
      ...context,
      signal: abort.signal,
    });
    await Promise.race([eventually('the command runs', () => existsSync(join(context.root, 'begun'))), running]);
    abort.abort(new Error('cancelled'));
    await expect(running).rejects.toThrow('cancelled');
  });

  it('reads the service in the tier nova, as the file tools do, and writes nothing of it', async () => {
    context = { ...context, tier: 'nova' };
    expect((await call('run_shell', { command: 'ls /nova' })).text).toContain('migrations');
    expect((await call('read_file', { path: '/nova/src/modules/tools/tool.ts' })).text).toContain(
      'export interface Tool',
    );
    expect(
      (await call('search_codebase', { pattern: 'ToolRegistry', path: '/nova/src/modules/tools' })).text,
    ).toContain('index.ts:');
    expect((await call('list_dir', { path: '/nova' })).text).toContain('/nova/src');
    for (const path of [
      '/nova/package.json',
      '/nova/.env',
      '/nova/node_modules/pg/package.json',
      '/nova/src/../.env',
      '/nova',
    ]) {
      expect((await call('read_file', { path })).isError).toBe(true);
    }
    for (const path of ['/nova/src/x.ts', '/nova/x'])
      expect((await call('write_file', { path, content: '' })).isError).toBe(true);
    context = { ...context, tier: 'workspace' };
    expect((await call('read_file', { path: '/nova/src/main.ts' })).isError).toBe(true);
  });

  it('is refused on the host unless the service was started with it', async () => {
    context = { ...context, tier: 'host' };
    for (const [name, args] of [
      ['run_shell', { command: 'true' }],
      ['git_status', {}],
      ['read_file', { path: '/etc/hostname' }],
      ['write_file', { path: 'a.txt', content: 'x' }],
    ] as const) {
      expect(await call(name, args)).toMatchObject({
        isError: true,
        text: expect.stringContaining('not started with it'),
      });
    }
  });

  it('runs unconfined on the host where it was', async () => {
    const config = AppConfig.from({
      NOVA_WORKSPACE: workspace,
      NOVA_DATA_DIR: join(folder, 'data'),
      SHELL_SANDBOX: 'host',
    });
    registry = registryOf(config);
    context = { ...context, tier: 'host', root: workspace };
    put({ outside: 'host file' }, folder);
    expect((await call('run_shell', { command: 'cat ../outside; pwd' })).text).toMatch(
      /UNCONFINED on the host\]\nhost file.*workspace/s,
    );
    expect((await call('read_file', { path: join(folder, 'outside') })).text).toContain('host file');
    expect((await call('write_file', { path: join(folder, 'made'), content: 'x' })).isError).toBeUndefined();
    expect((await call('git_status')).text).toContain('## main');
  });
});

describe('the git tools', () => {
  it('show and commit what a task did, in its own repository', async () => {
    await call('write_file', { path: 'a.txt', content: 'two\n' });
    await call('write_file', { path: 'dir/new file.txt', content: 'new\n' });
    await call('write_file', { path: 'other.txt', content: 'not committed\n' });
    expect((await call('git_status')).text).toMatch(/## main\n M a.txt\n\?\? dir\/\n\?\? other.txt/);
    expect((await call('git_diff', { path: 'a.txt' })).text).toContain('-one\n+two');
    expect(
      (await call('git_commit', { message: 'second\n\nbody', files: ['a.txt', 'dir/new file.txt'] })).isError,
    ).toBeUndefined();
    expect((await call('git_log', { n: 1 })).text).toMatch(/[0-9a-f]{7} \S+ Nova: second\n/);
    expect((await call('git_status')).text).toContain('## main\n?? other.txt');
    await call('run_shell', { command: 'rm a.txt && git add -A .' });
    expect((await call('git_diff', { staged: true })).text).toContain('deleted file');
    expect((await call('git_commit', { message: 'third', files: ['a.txt'] })).isError).toBeUndefined();
    expect(git('log', '--format=%s')).toBe('first\n');
  });

  it('take no options, patterns or places for paths', async () => {
    await call('write_file', { path: '-x', content: 'dash\n' });
    await call('write_file', { path: '*.txt', content: 'star\n' });
    await call('write_file', { path: 'a.txt', content: 'changed\n' });
    expect((await call('git_commit', { message: '--amend', files: ['-x', '*.txt'] })).isError).toBeUndefined();
    expect((await call('git_status')).text).toContain('## main\n M a.txt');
    expect((await call('git_log')).text).toMatch(/--amend\n.*first/);
    for (const path of ['../x', '/etc/passwd', '--output=/tmp/x/../..', ':(exclude)a.txt', '.git/config']) {
      await call('git_diff', { path });
      expect((await call('git_commit', { message: 'm', files: [path] })).isError).toBe(true);
    }
    expect((await call('git_log')).text.match(/: /g)).toHaveLength(2);
  });

  it('work on the workspace itself without changing what git runs there', async () => {
    context = contextFor(workspace);
    if (process.geteuid?.() === 0) execFileSync('chown', ['-R', `${BOX_USER.uid}:${BOX_USER.gid}`, workspace]);
    await call('write_file', { path: 'a.txt', content: 'two\n' });
    expect((await call('git_commit', { message: 'second', files: ['a.txt'] })).isError).toBeUndefined();
    expect(git('log', '--format=%an %s')).toBe('Nova second\nOwner first\n');
    await call('run_shell', {
      command: 'echo "[core]\n\tfsmonitor = touch fired" >> .git/config; echo x > .git/hooks/post-commit',
    });
    expect(readFileSync(join(workspace, '.git/config'), 'utf8')).not.toContain('fired');
    expect(existsSync(join(workspace, '.git/hooks/post-commit'))).toBe(false);
  });

  it.each(['a repository above it', 'no repository'])('say so in %s', async (kind) => {
    const plain = join(folder, 'above', 'plain');
    mkdirSync(plain, { recursive: true });
    if (kind === 'a repository above it') execFileSync('git', ['init', '-q', dirname(plain)]);
    context = contextFor(plain);
    for (const [name, args] of [
      ['git_status', {}],
      ['git_log', {}],
      ['git_commit', { message: 'x', files: ['x'] }],
    ] as const) {
      expect((await call(name, args)).text).toContain('not a git repository');
    }
  });
});

/** Ways in which a repository makes git run a program; `fire` is the program. */
const VECTORS: {
  name: string;
  settings?: [string, string][];
  files?: (fire: string) => Record<string, string>;
  prepare?: string;
}[] = [
  {
    name: 'hooks',
    files: (fire) =>
      Object.fromEntries(
        [
          'pre-commit',
          'commit-msg',
          'post-commit',
          'prepare-commit-msg',
          'post-index-change',
          'post-checkout',
          'reference-transaction',
          'fsmonitor-watchman',
        ].map((hook) => [`.git/hooks/${hook}`, `#!/bin/sh\n${fire}\n`]),
      ),
  },
  {
    name: 'core.hooksPath',
    settings: [['core.hooksPath', 'hooks']],
    files: (fire) => ({ 'hooks/pre-commit': `#!/bin/sh\n${fire}\n`, 'hooks/post-commit': `#!/bin/sh\n${fire}\n` }),
  },
  { name: 'core.fsmonitor', settings: [['core.fsmonitor', 'FIRE']] },
  {
    name: 'core.sshCommand and a remote',
    settings: [
      ['core.sshCommand', 'FIRE'],
      ['remote.origin.url', 'ssh://x/y'],
      ['remote.origin.promisor', 'true'],
      ['extensions.partialClone', 'origin'],
    ],
  },
  {
    name: 'core.editor',
    settings: [
      ['core.editor', 'FIRE'],
      ['sequence.editor', 'FIRE'],
    ],
  },
  {
    name: 'core.pager',
    settings: [
      ['core.pager', 'FIRE'],
      ['pager.log', 'FIRE'],
      ['pager.diff', 'FIRE'],
      ['pager.status', 'FIRE'],
    ],
  },
  { name: 'diff.external', settings: [['diff.external', 'FIRE']] },
  {
    name: 'a diff driver',
    settings: [
      ['diff.x.command', 'FIRE'],
      ['diff.x.textconv', 'FIRE'],
    ],
    files: () => ({ '.gitattributes': '* diff=x\n' }),
  },
  {
    name: 'a filter',
    settings: [
      ['filter.x.clean', 'FIRE'],
      ['filter.x.smudge', 'FIRE'],
      ['filter.x.process', 'FIRE'],
      ['filter.x.required', 'true'],
    ],
    files: () => ({ '.gitattributes': '* filter=x\n' }),
  },
  {
    name: 'signing',
    settings: [
      ['commit.gpgSign', 'true'],
      ['gpg.program', './sign'],
      ['log.showSignature', 'true'],
    ],
    files: (fire) => ({ sign: `#!/bin/sh\n${fire}\n` }),
  },
  {
    name: 'aliases',
    settings: [
      ['alias.status', '!FIRE'],
      ['alias.log', '!FIRE'],
      ['alias.diff', '!FIRE'],
      ['alias.commit', '!FIRE'],
      ['alias.add', '!FIRE'],
    ],
  },
  {
    name: 'an include',
    settings: [['include.path', '../more']],
    files: (fire) => ({ more: `[core]\n\tfsmonitor = "${fire}"\n` }),
  },
  {
    name: 'an include that depends on the folder',
    settings: [['includeIf.gitdir:/**.path', '../more']],
    files: (fire) => ({ more: `[core]\n\tfsmonitor = "${fire}"\n` }),
  },
  {
    name: 'attributes inside .git',
    settings: [
      ['diff.x.textconv', 'FIRE'],
      ['core.attributesFile', '../attributes'],
    ],
    files: () => ({ '.git/info/attributes': '* diff=x\n', attributes: '* diff=x\n' }),
  },
  {
    name: 'a common folder elsewhere',
    prepare:
      'cp -r .git common; git -C common config core.bare false; git --git-dir=common config core.fsmonitor "FIRE"; echo ../common > .git/commondir',
  },
  {
    name: 'a credential helper and a proxy',
    settings: [
      ['credential.helper', '!FIRE'],
      ['core.gitProxy', 'FIRE'],
      ['core.askPass', 'FIRE'],
    ],
  },
  {
    name: 'a merge driver and trailers',
    settings: [
      ['merge.x.driver', 'FIRE'],
      ['trailer.x.command', 'FIRE'],
      ['interactive.diffFilter', 'FIRE'],
    ],
  },
  {
    name: 'a bare repository inside',
    prepare: 'git init -q --bare sub.git; git --git-dir=sub.git config core.fsmonitor "FIRE"',
  },
  {
    name: 'a submodule',
    prepare:
      'git init -q sub; git -C sub -c user.name=x -c user.email=x@x commit -q --allow-empty -m x; git add sub 2>/dev/null; git -C sub config core.fsmonitor "FIRE"',
  },
];

describe('a repository that makes git run programs', () => {
  /** Writes outside and inside, so that it shows where it ran. */
  const fire = (): string => `touch ${join(folder, 'fired')} /workspace/fired-inside 2>/dev/null; cat`;

  async function arm(vector: (typeof VECTORS)[number], root: string): Promise<void> {
    for (const [name, value] of vector.settings ?? []) {
      execFileSync('git', ['-c', 'safe.directory=*', 'config', name, value.replace('FIRE', fire())], { cwd: root });
    }
    put(vector.files?.(fire()) ?? {}, root);
    for (const path of Object.keys(vector.files?.(fire()) ?? {})) chmodSync(join(root, path), 0o755);
    if (vector.prepare)
      execFileSync('/bin/sh', ['-c', vector.prepare.replaceAll('FIRE', fire())], {
        cwd: root,
        env: {
          PATH: '/usr/bin:/bin',
          HOME: folder,
          GIT_CONFIG_COUNT: '1',
          GIT_CONFIG_KEY_0: 'safe.directory',
          GIT_CONFIG_VALUE_0: '*',
        },
      });
    if (process.geteuid?.() === 0) execFileSync('chown', ['-R', `${BOX_USER.uid}:${BOX_USER.gid}`, root]);
    put({ 'a.txt': 'changed\n', 'b.txt': 'new\n' }, root);
  }

  it.each(VECTORS)('by $name runs none of them outside the box', async (vector) => {
    await arm(vector, context.root);
    for (const [name, args] of [
      ['git_status', {}],
      ['git_diff', {}],
      ['git_diff', { staged: true }],
      ['git_log', {}],
      ['git_commit', { message: 'm', files: ['a.txt', 'b.txt'] }],
    ] as const) {
      await call(name, args);
    }
    expect(existsSync(join(folder, 'fired'))).toBe(false);
    // Filters are the one kind that no option stops; in the box they do no harm.
    if (vector.name !== 'a filter') expect(existsSync(join(context.root, 'fired-inside'))).toBe(false);
  });

  it.each([
    'hooks',
    'core.hooksPath',
    'core.fsmonitor',
    'diff.external',
    'a diff driver',
    'a filter',
    'signing',
    'an include',
    'an include that depends on the folder',
    'attributes inside .git',
    'a common folder elsewhere',
    'a submodule',
  ])('by %s does run them without the box: the rig works', async (name) => {
    const vector = VECTORS.find((each) => each.name === name);
    if (vector === undefined) throw new Error(name);
    await arm(vector, context.root);
    const plain = (...args: string[]): void => {
      try {
        execFileSync('git', ['-c', 'safe.directory=*', '-c', 'user.name=x', '-c', 'user.email=x@x', ...args], {
          cwd: context.root,
          stdio: 'ignore',
        });
      } catch {
        // Some of the programs break the command; that they ran is what counts.
      }
    };
    plain('status');
    plain('diff');
    plain('add', '-A');
    plain('commit', '-m', 'x');
    expect(await readdir(folder)).toContain('fired');
  });
});
