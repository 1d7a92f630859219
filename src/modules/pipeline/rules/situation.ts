import { createHash } from 'node:crypto';
import type { Situation, StageRecord } from './plan.js';
import { newestStages, type LoadedTask } from '../store/loaded-tasks.repository.js';

/** A loaded task as the plan judges it. */
export function situationOf(
  run: Pick<LoadedTask, 'pod' | 'control' | 'maxRetries' | 'stages' | 'findings'>,
): Situation {
  const newest = newestStages(run.stages);
  const guardrailIteration = newest.guardrail?.iteration ?? 0;
  return {
    pod: run.pod,
    control: run.control,
    maxRetries: run.maxRetries,
    newest,
    findings: run.findings.filter((finding) => finding.open && finding.iteration === guardrailIteration),
    contentHash: () => reviewedContentHash(newest, run.control.diffHash),
  };
}

/**
 * SHA-256 of what a reviewer is shown: the newest outputs and the difference of the work tree. It does not depend on what
 * was decided about them, so approving leaves it as it is.
 */
export function reviewedContentHash(newest: Partial<Record<string, StageRecord>>, diffHash: string | null): string {
  const shown = ['context', 'task', 'guardrail', 'code_review', 'decision'].map((role) => {
    const record = newest[role];
    return record?.status === 'complete' ? [role, record.iteration, canonical(record.output)] : [role, null, null];
  });
  return createHash('sha256')
    .update(JSON.stringify([shown, diffHash]))
    .digest('hex');
}

/** The value with the keys of its objects in order: PostgreSQL gives jsonb back in an order of its own. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, canonical(inner)]),
  );
}
