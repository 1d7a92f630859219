import { lstatSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { GitUser } from '../../../config/index.js';
import { homeOr } from '../../../platform/processes/index.js';
import type { OpenFolder } from './open-folder.js';
import type { Repository } from './repository.js';
import { NO_HOME, runGit, type GitAnswer } from './run-git.js';
import { unreadable } from './unreadable.js';

/** The files that belong to the work in one repository, by path below its top. */
export interface WorkingFiles {
  /** Tracked files, and untracked ones that are not ignored; also the folders of repositories inside this one. */
  has(path: string): boolean;
  /** Whether some of them are below the folder `path`. */
  leadsTo(path: string): boolean;
}

/** In which a healthy repository of a million files answers; longer only with reason. */
const QUICK_MS = 10_000;
const PATIENT_MS = 60_000;
/** Folders that are looked through for what keeps git waiting. */
const MOST_FOLDERS = 200_000;

/**
 * Asks git, with the settings and the index in `gitDir` (ours, or a copy of what `repository` has), which files of `folder` are
 * not ignored: by .gitignore files, info/exclude, and the excludes file that the repository or else the user names.
 * @param label How the folder is called in refusals: its path, with a slash at its end, or nothing for the workspace.
 * @throws DomainError `workspace_unreadable` when git cannot tell; never takes that for "all".
 */
export function listWorkingFiles(
  folder: OpenFolder,
  repository: Repository,
  gitDir: string,
  user: GitUser,
  label = '',
): WorkingFiles {
  const top = folder.path;
  const excludes = excludesFile(top, repository, user, label);
  const settings = [
    ...(excludes === null ? [] : [`core.excludesFile=${excludes}`]),
    `core.ignoreCase=${userSetting(repository, user, label, 'core.ignoreCase', 'bool', 'false')}`,
  ].flatMap((setting) => ['-c', setting]);
  const git = (args: readonly string[], timeoutMs: number, input?: string): GitAnswer =>
    runGit([...settings, ...args], {
      cwd: top,
      timeoutMs,
      ...(input !== undefined && { input }),
      environment: {
        GIT_DIR: gitDir,
        GIT_WORK_TREE: top,
        GIT_CEILING_DIRECTORIES: dirname(top),
        // Of a sparse index, and of rule files that are not checked out.
        GIT_OBJECT_DIRECTORY: `${repository.common.path}/objects`,
      },
    });
  const ask = (which: readonly string[], timeoutMs: number): GitAnswer => git(['ls-files', '-z', ...which], timeoutMs);
  const refuse = (problem: string) => unreadable(label === '' ? '.' : label, `cannot be listed: ${problem}`);
  const listed = new Set<string>();
  const ways = new Set<string>();
  const take = (answer: GitAnswer): void => {
    if ('problem' in answer) throw refuse(answer.problem);
    for (const entry of answer.output.split('\0')) {
      if (entry === '') continue;
      const path = entry.endsWith('/') ? entry.slice(0, -1) : entry;
      listed.add(path);
      for (let end = path.lastIndexOf('/'); end !== -1; end = path.lastIndexOf('/', end - 1)) {
        const way = path.slice(0, end);
        if (ways.has(way)) break;
        ways.add(way);
      }
    }
  };
  take(ask(['--cached'], PATIENT_MS));
  // Git opens what has the name of a rule file, and waits for ever on one that is a pipe.
  for (const way of ['', ...ways]) assertRuleFile(top, way, label);
  assertRulesAreHere(git, refuse);
  const others = ['--others', '--exclude-standard'];
  let answer = ask(others, QUICK_MS);
  if ('problem' in answer && answer.timedOut) {
    findOddRuleFile(folder, label);
    answer = ask(others, PATIENT_MS);
  }
  take(answer);
  return { has: (path) => listed.has(path), leadsTo: (path) => ways.has(path) };
}

/** The one file of further rules that git uses: the repository's own setting, else the user's, else the usual place. */
function excludesFile(top: string, repository: Repository, user: GitUser, label: string): string | null {
  const { XDG_CONFIG_HOME } = user;
  const usual = `${XDG_CONFIG_HOME === undefined || XDG_CONFIG_HOME === '' ? '~/.config' : XDG_CONFIG_HOME}/git/ignore`;
  const set = userSetting(repository, user, label, 'core.excludesFile', 'path', usual);
  const refuse = (reason: string) => unreadable(set, `should hold rules of what is ignored, and ${reason}`);
  // Nothing is set: there are no further rules.
  if (set === '') return null;
  const path = resolve(top, set);
  let stat: ReturnType<typeof statSync>;
  try {
    stat = statSync(path, { throwIfNoEntry: false });
  } catch {
    throw refuse('may not be read');
  }
  if (stat === undefined) return null;
  if (!stat.isFile()) throw refuse('is no regular file');
  return path;
}

/** The settings that git itself would use in the repository: its settings over those of the service's user, conditional ones too. */
function userSetting(
  repository: Repository,
  user: GitUser,
  label: string,
  name: string,
  type: 'bool' | 'path',
  byDefault: string,
): string {
  const answer = runGit(['config', '--includes', `--type=${type}`, `--default=${byDefault}`, '--get', name], {
    cwd: '/',
    timeoutMs: QUICK_MS,
    environment: { ...user, HOME: user.HOME || homeOr(NO_HOME), GIT_DIR: repository.own.path },
  });
  if ('problem' in answer) {
    throw unreadable(label === '' ? '.' : label, `cannot be listed: of the settings of git, ${answer.problem}`);
  }
  return answer.output.replace(/\n$/, '');
}

/**
 * Git takes rule files that are not checked out from the index, and passes over those whose content it does not have.
 * @throws what `refuse` makes, where it would.
 */
function assertRulesAreHere(
  git: (args: readonly string[], timeoutMs: number, input?: string) => GitAnswer,
  refuse: (problem: string) => Error,
): void {
  const listed = git(['ls-files', '-z', '-t', '--stage', '--', ':(glob)**/.gitignore'], PATIENT_MS);
  if ('problem' in listed) throw refuse(listed.problem);
  const wanted = new Map<string, string>();
  for (const entry of listed.output.split('\0')) {
    const [, name, path] = /^S \d+ ([0-9a-f]+) \d\t(.+)$/s.exec(entry) ?? [];
    if (name !== undefined && path !== undefined) wanted.set(name, path);
  }
  if (wanted.size === 0) return;
  const found = git(['cat-file', '--batch-check=%(objecttype)'], PATIENT_MS, `${[...wanted.keys()].join('\n')}\n`);
  const lines = 'problem' in found ? [] : found.output.trimEnd().split('\n');
  const missing = [...wanted.values()].find((_, index) => lines[index] !== 'blob');
  if (missing === undefined) return;
  const why = 'problem' in found ? found.problem : 'it was never fetched, or is damaged';
  throw refuse(`${missing} is not checked out, and its rules cannot be read from the repository: ${why}`);
}

/** @throws DomainError when the rule file of the folder `way` is anything but a regular file. */
function assertRuleFile(top: string, way: string, label: string): void {
  const path = way === '' ? '.gitignore' : `${way}/.gitignore`;
  let stat: ReturnType<typeof lstatSync>;
  try {
    stat = lstatSync(`${top}/${path}`, { throwIfNoEntry: false });
  } catch {
    return;
  }
  if (stat !== undefined && !stat.isFile()) {
    throw unreadable(`${label}${path}`, 'should hold rules of what is ignored, and is no regular file');
  }
}

function findOddRuleFile(folder: OpenFolder, label: string): void {
  let left = MOST_FOLDERS;
  const look = (inner: OpenFolder, way: string, depth: number): void => {
    if (left-- <= 0 || depth > 64) return;
    for (const { name, kind } of inner.entries()) {
      if (name === '.gitignore' && kind !== 'file') {
        throw unreadable(`${label}${way}${name}`, 'should hold rules of what is ignored, and is no regular file');
      }
      if (kind !== 'folder' || name === '.git') continue;
      const next = inner.folder(name);
      if (next === null) continue;
      try {
        look(next, `${way}${name}/`, depth + 1);
      } finally {
        next.close();
      }
    }
  };
  look(folder, '', 0);
}
