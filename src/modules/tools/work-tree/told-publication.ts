import { shownPath } from '../boundary/shown-path.js';
import type { GitTrap, GitTrapKind } from './git-traps.js';
import type { Conflict, ConflictCause } from './publication.js';

const MOST_NAMED = 20;
const MOST_PATH = 300;

const CAUSES: Readonly<Record<ConflictCause, string>> = {
  changed: 'The workspace changed meanwhile',
  link_leads_out: 'A link leads out of the workspace or into .git',
  in_the_way: 'Something that no file replaces stands in the way',
};

const KINDS: Readonly<Record<GitTrapKind, string>> = {
  git_entry: 'a .git',
  bare_repository: 'a repository',
  submodule: 'submodules',
  attributes: 'a program for files',
};

/** Why each path was not published, a sentence for each cause; no more than the first few paths are named. */
export function toldConflicts(conflicts: readonly Conflict[]): string {
  const sentences = (Object.keys(CAUSES) as ConflictCause[]).flatMap((cause) => {
    const paths = conflicts.flatMap(({ path, causes }) => (causes.includes(cause) ? [path] : []));
    return paths.length === 0 ? [] : [`${CAUSES[cause]}: ${named(paths.map(cut), paths.length)}.`];
  });
  return sentences.join(' ');
}

/** The traps by path and kind; `total` of them in all. */
export function toldTraps(traps: readonly GitTrap[], total: number): string {
  return named(
    traps.map(({ path, kind }) => `${cut(path)} (${KINDS[kind]})`),
    total,
  );
}

function named(names: readonly string[], total: number): string {
  const shown = names.slice(0, MOST_NAMED);
  return total > shown.length ? `${shown.join(', ')} and ${total - shown.length} more` : shown.join(', ');
}

function cut(path: string): string {
  return shownPath(path.length > MOST_PATH ? `${path.slice(0, MOST_PATH)}…` : path);
}
