import type { GitTrapKind, GitTraps } from '../../tools/index.js';
import { fingerprintOf, type Finding } from './finding.js';
import { legiblePath } from './legible-path.js';

const DESCRIPTIONS: Readonly<Record<GitTrapKind, string>> = {
  git_entry: 'The work holds what git takes for ".git": its settings start programs. It is never published.',
  bare_repository:
    'The work makes or changes a folder that git takes for a repository (HEAD, objects, refs), whose settings start programs.',
  submodule: 'The work changes which submodules git fetches, and how it updates them (.gitmodules).',
  attributes:
    'The work names a filter, diff or merge driver for git that no file of attributes named before, or has attributes that cannot be read.',
};

/** Traps that are told one by one. */
const MOST_TOLD = 10;

/** One finding for each thing in the work that the git of the workspace's owner would obey; the last tells of those past the first few. */
export function gitFindings(traps: Pick<GitTraps, 'listed' | 'total'> | null, taskId: string): Finding[] {
  if (traps === null) return [];
  const told = traps.listed.slice(0, MOST_TOLD);
  const more = traps.total - told.length;
  return told.map(({ path, kind }, index) => ({
    type: 'policy_violation',
    severity: 'high',
    description:
      index === told.length - 1 && more > 0
        ? `${DESCRIPTIONS[kind]} There are ${more} more like it.`
        : DESCRIPTIONS[kind],
    evidence: legiblePath(path, taskId),
    deterministic: true,
    fingerprint: fingerprintOf('git', kind, path),
  }));
}
