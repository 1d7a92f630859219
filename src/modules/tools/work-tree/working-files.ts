import { lstatSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { OpenFolder } from './open-folder.js';
import type { Repository } from './repository.js';
import { runGit, type GitAnswer } from './run-git.js';
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
export function listWorkingFiles(folder: OpenFolder, repository: Repository, gitDir: string, label = ''): WorkingFiles {
  const top = folder.path;
  const excludes = excludesFile(top, repository, label);
  const ask = (which: readonly string[], timeoutMs: number): GitAnswer =>
    runGit([...(excludes === null ? [] : ['-c', `core.excludesFile=${excludes}`]), 'ls-files', '-z', ...which], {
      cwd: top,
      timeoutMs,
      environment: {
        GIT_DIR: gitDir,
        GIT_WORK_TREE: top,
        GIT_CEILING_DIRECTORIES: dirname(top),
        // Only a sparse index needs objects to be listed.
        ...(repository.settings.get('index.sparse') === 'true'
          ? { GIT_OBJECT_DIRECTORY: `${repository.common.path}/objects` }
          : {}),
      },
    });
  const listed = new Set<string>();
  const ways = new Set<string>();
  const take = (answer: GitAnswer): void => {
    if ('problem' in answer) throw unreadable(label === '' ? '.' : label, `cannot be listed: ${answer.problem}`);
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
function excludesFile(top: string, repository: Repository, label: string): string | null {
  const set = repository.settings.get('core.excludesfile') ?? usersExcludesFile(label);
  const refuse = (reason: string) => unreadable(set, `should hold rules of what is ignored, and ${reason}`);
  if (/^~[^/]/.test(set)) throw refuse('is in the folder of another user');
  const path = resolve(top, set.startsWith('~/') ? `${homedir()}/${set.slice(2)}` : set);
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

function usersExcludesFile(label: string): string {
  const answer = runGit(
    ['config', '--includes', '--type=path', '--default=~/.config/git/ignore', '--get', 'core.excludesFile'],
    { cwd: '/', timeoutMs: QUICK_MS, environment: { GIT_CONFIG_GLOBAL: undefined, GIT_CONFIG_NOSYSTEM: undefined } },
  );
  if ('problem' in answer) {
    throw unreadable(label === '' ? '.' : label, `cannot be listed: of the settings of git's user, ${answer.problem}`);
  }
  return answer.output.trimEnd();
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
