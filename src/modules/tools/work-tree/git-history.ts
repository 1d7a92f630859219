import { writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { DomainError } from '../../../platform/errors/index.js';
import { FileCopier } from './file-copier.js';
import { OpenFolder, within } from './open-folder.js';
import { readText, type Repository } from './repository.js';
import { TreeBudget, type TreeLimits } from './tree-budget.js';
import { unreadable } from './unreadable.js';

/**
 * What a tree's own configuration always holds. Nothing that runs or connects (hooks, filters, remotes and their credentials)
 * is taken over. Times of files are kept by the copy and other numbers are not, so git compares only the former.
 */
const CORE = {
  'core.filemode': 'true',
  'core.bare': 'false',
  'core.logallrefupdates': 'true',
  'core.checkstat': 'minimal',
  'core.trustctime': 'false',
};

/** Settings that say how the repository's files are to be read, and start nothing. */
const TAKEN_OVER = [
  'core.autocrlf',
  'core.eol',
  'core.filemode',
  'core.ignorecase',
  'core.precomposeunicode',
  'core.sparsecheckout',
  'core.sparsecheckoutcone',
  'core.symlinks',
  'extensions.objectformat',
  'extensions.refstorage',
  'index.sparse',
];
const PLAIN_VALUE = /^[A-Za-z0-9.-]{1,40}$/;
const MOST_EXCLUDES_BYTES = 1024 * 1024;

/** What one work tree of a repository has for itself, and what all of them share, besides objects. */
const OWN = /^(?:HEAD|index|sharedindex\.[0-9a-f]+)$/;
const SHARED = /^(?:packed-refs|shallow|refs(?:\/.*)?|reftable(?:\/.*)?)$/;
/** `objects` itself is passed over at first: packs are copied last. */
const LOOSE = /^[0-9a-f]{2}(?:\/|$)/;
const PACKS = /^pack(?:\/|$)/;

/** Writes the state of a repository (HEAD, references, index, excludes) into the new folder `.git` of `tree`, with settings of its own. */
export function copyRepositoryState(repository: Repository, tree: OpenFolder, budget: TreeBudget, label = ''): void {
  const { own, common } = repository;
  const copier = new FileCopier(budget);
  copier.makeFolder(tree, '.git');
  within(tree.folder('.git'), (git) => {
    copyFolder(copier, common, git, (path) => SHARED.test(path));
    copyFolder(copier, own, git, (path) => OWN.test(path));
    for (const [folder, name] of [
      [own, 'HEAD'],
      [own, 'index'],
    ] as const) {
      const stat = folder.stat(name);
      if (stat === null || stat.isFile()) continue;
      const target = folder.linkTarget(name);
      if (name !== 'HEAD' || target === null) throw unreadable(`${label}.git/${name}`, 'is no regular file');
      writeFileSync(git.at(name), `ref: ${target}\n`, { flag: 'wx' });
      copier.own(git, name);
    }
    for (const name of ['objects', 'refs', 'info']) copier.makeFolder(git, name);
    within(git.folder('info'), (info) => {
      copyRules(copier, common, info, 'exclude', label);
      copyRules(copier, own, info, 'sparse-checkout', label);
    });
    writeFileSync(git.at('config'), configOf(repository.settings), { flag: 'wx' });
    copier.own(git, 'config');
  });
}

/** Gives `tree` the `.git` that `copyRepositoryState` wrote into the folder `from`. */
export function copyKeptState(from: OpenFolder, tree: OpenFolder, limits: TreeLimits): void {
  copyFolder(new FileCopier(new TreeBudget(limits)), from, tree, () => true);
}

/**
 * Copies the objects after the state, packs last: whatever the copied references reach is then among them, also while the
 * owner commits or repacks. Nothing is hard-linked. False when they are more than `limits` allow.
 */
export function copyRepositoryObjects(repository: Repository, tree: OpenFolder, limits: TreeLimits): boolean {
  const copier = new FileCopier(new TreeBudget(limits));
  try {
    within(repository.common.folder('objects'), (from) =>
      within(tree.folder('.git'), (git) =>
        within(git.folder('objects'), (into) => {
          for (const part of [LOOSE, PACKS]) copyFolder(copier, from, into, (path) => part.test(path));
        }),
      ),
    );
    return true;
  } catch (error) {
    if (error instanceof DomainError) return false;
    throw error;
  }
}

function copyFolder(
  copier: FileCopier,
  from: OpenFolder,
  into: OpenFolder,
  include: (path: string) => boolean,
  prefix = '',
): void {
  for (const { name, kind } of from.entries()) {
    const path = prefix + name;
    if (!include(path)) continue;
    if (kind === 'file') copier.copy(from, into, name);
    if (kind !== 'folder') continue;
    copier.makeFolder(into, name);
    within(from.folder(name), (inner) =>
      within(into.folder(name), (copy) => copyFolder(copier, inner, copy, include, `${path}/`)),
    );
  }
}

/** Git follows a link there, so its rules hold also where they are elsewhere. */
function copyRules(copier: FileCopier, from: OpenFolder, into: OpenFolder, name: string, label: string): void {
  within(from.folder('info'), (info) => {
    const stat = info.stat(name);
    if (stat === null) return;
    if (stat.isFile()) {
      if (copier.copy(info, into, name) === null) throw unreadable(`${label}.git/info/${name}`, 'may not be read');
      return;
    }
    const target = stat.isSymbolicLink() ? info.realPath(name) : null;
    const text =
      target === null
        ? null
        : within(OpenFolder.root(dirname(target)), (folder) => readText(folder, basename(target), MOST_EXCLUDES_BYTES));
    if (text === null)
      throw unreadable(`${label}.git/info/${name}`, 'should hold rules, and is no file that may be read');
    writeFileSync(into.at(name), text, { flag: 'wx' });
    copier.own(into, name);
  });
}

function configOf(settings: ReadonlyMap<string, string>): string {
  const ours = new Map<string, string>(Object.entries(CORE));
  for (const name of TAKEN_OVER) {
    const value = settings.get(name);
    if (value !== undefined && PLAIN_VALUE.test(value)) ours.set(name, value);
  }
  // Objects that were never fetched are then known to be missing, and not taken for damage.
  const isPartial = [...settings.keys()].some(
    (name) => name === 'extensions.partialclone' || name.endsWith('.promisor'),
  );
  const extended = isPartial || [...ours.keys()].some((name) => name.startsWith('extensions.'));
  if (isPartial) ours.set('extensions.partialclone', 'origin');
  ours.set('core.repositoryformatversion', extended ? '1' : '0');
  const sections = new Map<string, string[]>();
  for (const [name, value] of ours) {
    const [section = '', key = ''] = name.split('.');
    sections.set(section, [...(sections.get(section) ?? []), `\t${key} = ${value}\n`]);
  }
  const text = [...sections].map(([section, lines]) => `[${section}]\n${lines.join('')}`).join('');
  return isPartial ? `${text}[remote "origin"]\n\tpromisor = true\n` : text;
}
