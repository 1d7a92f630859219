import { toldConflicts, type Conflict } from '../../tools/index.js';

/** Conflicts that one gate lists, and its approval covers; the rest open the next one. */
const MOST_LISTED = 1_000;

/** The gate for what could not be published: each cause in words, and the version of the workspace at each path. */
export function conflictsGate(conflicts: readonly Conflict[]): { reason: string; details: Record<string, unknown> } {
  const listed = conflicts.slice(0, MOST_LISTED);
  return {
    reason: toldConflicts(conflicts),
    details: {
      files: listed.map(({ path }) => path),
      conflicts: listed.map(({ path, causes, version }) => ({ path, causes, version })),
      more: conflicts.length - listed.length,
    },
  };
}
