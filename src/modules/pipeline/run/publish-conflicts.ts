import type { Conflict, ConflictCause } from '../../tools/index.js';

/** Conflicts that one gate lists, and its approval covers; the rest open the next one. */
const MOST_LISTED = 1_000;
const MOST_NAMED = 20;

const WORDS: Readonly<Record<ConflictCause, string>> = {
  changed: 'The workspace changed meanwhile',
  link_leads_out: 'A link leads out of the workspace or into .git',
  in_the_way: 'Something that no file replaces stands in the way',
};

/** The gate for what could not be published: each cause in words, and the version of the workspace at each path. */
export function toldConflicts(conflicts: readonly Conflict[]): { reason: string; details: Record<string, unknown> } {
  const listed = conflicts.slice(0, MOST_LISTED);
  const sentences = (Object.keys(WORDS) as ConflictCause[]).flatMap((cause) => {
    const paths = conflicts.flatMap(({ path, causes }) => (causes.includes(cause) ? [path] : []));
    if (paths.length === 0) return [];
    const more = paths.length > MOST_NAMED ? ` and ${paths.length - MOST_NAMED} more` : '';
    return [`${WORDS[cause]}: ${paths.slice(0, MOST_NAMED).join(', ')}${more}.`];
  });
  return {
    reason: sentences.join(' '),
    details: {
      files: listed.map(({ path }) => path),
      conflicts: listed.map(({ path, causes, version }) => ({ path, causes, version })),
      more: conflicts.length - listed.length,
    },
  };
}
