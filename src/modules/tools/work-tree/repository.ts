import { closeSync, fstatSync, lstatSync, readSync } from 'node:fs';
import { basename, dirname, isAbsolute, resolve } from 'node:path';
import { OpenFolder } from './open-folder.js';
import { runGit } from './run-git.js';
import { unreadable } from './unreadable.js';

/** A repository whose work tree is one folder. `close` it. */
export interface Repository {
  /** HEAD, the index and what else one work tree has for itself. */
  readonly own: OpenFolder;
  /** References, objects and settings; `own` itself unless the folder is a linked work tree. */
  readonly common: OpenFolder;
  readonly settings: ReadonlyMap<string, string>;
  /** Whether all its objects are in `common`. */
  readonly isWhole: boolean;
  close(): void;
}

const MOST_CONFIG_BYTES = 1024 * 1024;
const MOST_POINTER_BYTES = 4096;
const GIT_MS = 10_000;
/** Extensions of the format under which copied files of a `.git` mean what they meant. */
const EXTENSIONS =
  /^(?:noop|noop-v1|preciousobjects|partialclone|worktreeconfig|objectformat|compatobjectformat|refstorage|relativeworktrees)$/;

/** Whether git would take `folder` for the top of a repository, or nearly so: there is a `.git` to be asked about. */
export function hasRepository(folder: OpenFolder): boolean {
  const git = folder.stat('.git');
  if (git === null) return false;
  if (!git.isDirectory()) return true;
  const inner = folder.folder('.git');
  try {
    return inner === null || inner.stat('HEAD') !== null;
  } finally {
    inner?.close();
  }
}

/**
 * Opens the repository whose work tree is `folder`, in every form git has for it: its `.git` may be a folder, or a file that
 * names one elsewhere, if that names this work tree in turn. (A file alone proves nothing: whoever can write the workspace
 * could make it name a repository that is not theirs to read.)
 * @param label How the folder is called in refusals: its path, with a slash at its end, or nothing for the workspace.
 * @returns null where there is no `.git`.
 * @throws DomainError `workspace_unreadable` for a `.git` that cannot be asked what is ignored.
 */
export function openRepository(folder: OpenFolder, label = ''): Repository | null {
  const git = folder.stat('.git');
  if (git === null) return null;
  const refuse = (reason: string) => unreadable(`${label}.git`, reason);
  const own = git.isDirectory() ? folder.folder('.git') : git.isFile() ? openPointer(folder, refuse) : null;
  if (own === null) {
    throw refuse(
      git.isSymbolicLink() ? 'is a symbolic link, which is not followed' : 'may not be read, or is no folder',
    );
  }
  const open = [own];
  const close = (): void => open.forEach((each) => each.close());
  try {
    const common = openCommon(own, refuse);
    if (common !== own) open.push(common);
    for (const [place, name] of [
      [own, 'HEAD'],
      [common, 'objects'],
      [common, 'config'],
    ] as const) {
      if (place.stat(name) === null) throw refuse(`is not a repository that git can read: it has no ${name}`);
    }
    const settings = readSettings(own, common, refuse);
    assertKnownFormat(settings, refuse);
    assertWorkTree(folder, own, common, git.isFile(), settings, refuse);
    const info = common.folder('objects')?.path;
    return { own, common, settings, isWhole: info !== undefined && !exists(`${info}/info/alternates`), close };
  } catch (error) {
    close();
    throw error;
  }
}

type Refuse = (reason: string) => Error;

/** The folder that a `.git` file names. */
function openPointer(folder: OpenFolder, refuse: Refuse): OpenFolder {
  const target = /^gitdir: (.+)$/.exec((readText(folder, '.git', MOST_POINTER_BYTES) ?? '').trim())?.[1];
  if (target === undefined) throw refuse('is a file that names no repository');
  try {
    return OpenFolder.root(resolve(folder.path, target));
  } catch {
    throw refuse(`names the repository ${target}, which cannot be opened`);
  }
}

function openCommon(own: OpenFolder, refuse: Refuse): OpenFolder {
  if (own.stat('commondir') === null) return own;
  const target = (readText(own, 'commondir', MOST_POINTER_BYTES) ?? '').trim();
  try {
    const common = OpenFolder.root(resolve(own.path, target));
    if (own.path === `${common.path}/worktrees/${basename(own.path)}`) return common;
    common.close();
  } catch {
    // Told below.
  }
  throw refuse('belongs to a repository that does not list it among its work trees');
}

/** @throws unless the repository says itself that `folder` is its work tree. */
function assertWorkTree(
  folder: OpenFolder,
  own: OpenFolder,
  common: OpenFolder,
  isPointer: boolean,
  settings: ReadonlyMap<string, string>,
  refuse: Refuse,
): void {
  const here = folder.path;
  if (common !== own) {
    const back = resolve(own.path, (readText(own, 'gitdir', MOST_POINTER_BYTES) ?? '').trim());
    if (basename(back) === '.git' && realPathOf(dirname(back)) === here) return;
    throw refuse(
      'belongs to a linked work tree that is registered for another folder (`git worktree repair` mends it)',
    );
  }
  const workTree = settings.get('core.worktree');
  if (workTree !== undefined) {
    if (realPathOf(resolve(own.path, workTree)) === here) return;
    throw refuse(`is the repository of another work tree, ${workTree}`);
  }
  if (isPointer) {
    throw refuse(
      `names a repository that does not name this folder (\`git config core.worktree ${here}\` says that it does)`,
    );
  }
}

function assertKnownFormat(settings: ReadonlyMap<string, string>, refuse: Refuse): void {
  const version = settings.get('core.repositoryformatversion') ?? '0';
  if (version !== '0' && version !== '1') throw refuse(`has the format ${version}, which is not known here`);
  for (const name of settings.keys()) {
    const extension = /^extensions\.(.+)$/.exec(name)?.[1];
    if (extension !== undefined && !EXTENSIONS.test(extension)) {
      throw refuse(`has the extension ${extension}, which is not known here`);
    }
  }
}

/** What the repository's own files set. Nothing of it is applied by reading it. */
function readSettings(own: OpenFolder, common: OpenFolder, refuse: Refuse): ReadonlyMap<string, string> {
  const settings = new Map<string, string>();
  for (const [folder, name] of [
    [common, 'config'],
    [own, 'config.worktree'],
  ] as const) {
    if (name === 'config.worktree' && settings.get('extensions.worktreeconfig') !== 'true') continue;
    const content = readText(folder, name, MOST_CONFIG_BYTES);
    if (content === null) {
      if (name === 'config') throw refuse('has a config that is not a readable file of at most 1 MiB');
      continue;
    }
    const answer = runGit(['config', '--file', `${folder.path}/${name}`, '--includes', '--list', '-z'], {
      cwd: '/',
      timeoutMs: GIT_MS,
    });
    if ('problem' in answer) throw refuse(`has a ${name} that cannot be read: ${answer.problem}`);
    for (const setting of answer.output.split('\0')) {
      const end = setting.indexOf('\n');
      if (setting !== '')
        settings.set(end === -1 ? setting : setting.slice(0, end), end === -1 ? 'true' : setting.slice(end + 1));
    }
  }
  return settings;
}

/** The text of the regular file `name`; null when it is none, or larger. */
export function readText(folder: OpenFolder, name: string, mostBytes: number): string | null {
  const descriptor = folder.file(name);
  if (descriptor === null) return null;
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile() || stat.size > mostBytes) return null;
    const buffer = Buffer.alloc(stat.size);
    return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, buffer.length, 0));
  } finally {
    closeSync(descriptor);
  }
}

function realPathOf(path: string): string | null {
  if (!isAbsolute(path)) return null;
  try {
    const folder = OpenFolder.root(path);
    try {
      return folder.path;
    } finally {
      folder.close();
    }
  } catch {
    return null;
  }
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
