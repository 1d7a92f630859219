import type { WorkTrees } from './work-trees.js';

/** For how long work that reads the workspace itself goes by one listing of what is ignored there. */
const KEPT_MS = 10_000;

/** What a tree would hold that is made now, listed anew after a while. */
export class KeptListing {
  private kept: { at: number; shows: ReturnType<WorkTrees['shows']> } | null = null;

  constructor(
    private readonly trees: Pick<WorkTrees, 'shows'>,
    private readonly signal: AbortSignal,
  ) {}

  /** As `WorkTrees.shows`. */
  shows(): ReturnType<WorkTrees['shows']> {
    const now = performance.now();
    if (this.kept === null || now - this.kept.at > KEPT_MS) {
      this.kept = { at: now, shows: this.trees.shows(this.signal) };
    }
    return this.kept.shows;
  }
}
