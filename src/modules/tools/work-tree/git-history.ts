import { execa, ExecaError } from 'execa';
import { dirname } from 'node:path';
import type { Directory } from '../boundary/directory.js';
import type { TreeBudget } from './tree-budget.js';
import { copyTree } from './tree-copy.js';

/**
 * The clone's own configuration: nothing of the workspace's is taken over, so nothing in it (hooks, filters, remotes and
 * their credentials) runs or shows in a work tree.
 */
const CONFIG = '[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n';

const MAX_CONFIG_BYTES = 64 * 1024;
const MAX_LISTING_BYTES = 64 * 1024 * 1024;

const STATE = new Set(['HEAD', 'packed-refs', 'index', 'shallow', 'refs', 'info', 'info/exclude']);
const isState = (path: string): boolean => STATE.has(path) || path.startsWith('refs/');
const isPack = (path: string): boolean =>
  path === 'objects' || path === 'objects/pack' || path.startsWith('objects/pack/');
const isLoose = (path: string): boolean => path === 'objects' || /^objects\/[0-9a-f]{2}(\/|$)/.test(path);

/**
 * Copies the state of the workspace's repository (HEAD, refs, index, excludes) into the empty `.git` of a new tree, with a
 * configuration of its own. The repository is read as files: git itself never runs on a `.git` that others write.
 * @returns false, having written nothing, when the workspace is not the top level of a repository that can be read so.
 */
export async function copyRepositoryState(workspace: Directory, tree: Directory, budget: TreeBudget): Promise<boolean> {
  const git = await workspace.directoryOrNull('.git');
  if (git === null) return false;
  try {
    if (!(await isPlainRepository(git))) return false;
    await tree.makeDirectory('.git');
    const copy = await tree.directory('.git');
    try {
      await copyTree(git, copy, { budget, git: true, withoutLinks: true, include: isState });
      for (const folder of ['objects', 'refs']) await copy.makeDirectory(folder);
      await copy.replaceFile('config', { content: Buffer.from(CONFIG) });
    } finally {
      await copy.close();
    }
    return true;
  } finally {
    await git.close();
  }
}

/**
 * Copies the objects after the state, packs last: whatever the copied refs reach is then among them, also while the
 * owner commits or repacks. Nothing is hard-linked.
 */
export async function copyRepositoryObjects(workspace: Directory, tree: Directory, budget: TreeBudget): Promise<void> {
  const git = await workspace.directory('.git');
  try {
    const copy = await tree.directory('.git');
    try {
      for (const include of [isLoose, isPack]) {
        await copyTree(git, copy, { budget, git: true, withoutLinks: true, include });
      }
    } finally {
      await copy.close();
    }
  } finally {
    await git.close();
  }
}

/**
 * The files that belong to the work in `workspace`: tracked ones, and untracked ones that are not ignored. Folders in the
 * answer (submodules and nested repositories) stand for all that is in them. Git runs with the copy's `.git`, whose
 * configuration is ours. Null when git is not installed, or cannot tell.
 */
export async function listWorkingFiles(
  gitDir: string,
  workspace: string,
  signal?: AbortSignal,
): Promise<Set<string> | null> {
  try {
    const { stdout } = await execa(
      'git',
      [
        '-c',
        'core.fsmonitor=false',
        '-c',
        'core.hooksPath=/dev/null',
        'ls-files',
        '-z',
        '--cached',
        '--others',
        '--exclude-standard',
      ],
      {
        cwd: workspace,
        extendEnv: false,
        env: {
          PATH: '/usr/local/bin:/usr/bin:/bin',
          LANG: 'C.UTF-8',
          GIT_DIR: gitDir,
          GIT_WORK_TREE: workspace,
          GIT_CEILING_DIRECTORIES: dirname(workspace),
          GIT_CONFIG_NOSYSTEM: '1',
          GIT_CONFIG_GLOBAL: '/dev/null',
          GIT_ATTR_NOSYSTEM: '1',
          GIT_OPTIONAL_LOCKS: '0',
          GIT_NO_LAZY_FETCH: '1',
        },
        stdin: 'ignore',
        stripFinalNewline: false,
        maxBuffer: MAX_LISTING_BYTES,
        timeout: 60_000,
        killSignal: 'SIGKILL',
        cancelSignal: signal,
      },
    );
    return new Set(
      stdout
        .split('\0')
        .filter((path) => path !== '')
        .map((path) => path.replace(/\/$/, '')),
    );
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof ExecaError || (error instanceof Error && error.name === 'ExecaError')) return null;
    throw error;
  }
}

/** Whether all of a repository is in its `.git`, in the format every git reads, with its files around it. */
async function isPlainRepository(git: Directory): Promise<boolean> {
  const isKind = async (name: string, kind: 'isFile' | 'isDirectory'): Promise<boolean> =>
    (await git.stat(name))?.[kind]() ?? false;
  if (
    !(await isKind('HEAD', 'isFile')) ||
    !(await isKind('config', 'isFile')) ||
    !(await isKind('objects', 'isDirectory'))
  )
    return false;
  if ((await git.stat('commondir')) !== null) return false;
  const config = (await git.readFile('config', MAX_CONFIG_BYTES))?.content.toString();
  if (config === undefined || /^\s*\[\s*extensions/im.test(config) || /^\s*worktree\s*=/im.test(config)) return false;
  const objects = await git.directoryOrNull('objects');
  const info = await objects?.directoryOrNull('info');
  try {
    return ((await info?.stat('alternates')) ?? null) === null;
  } finally {
    await info?.close();
    await objects?.close();
  }
}
