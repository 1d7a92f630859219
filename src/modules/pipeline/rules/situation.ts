import { createHash } from 'node:crypto';
import { canonicalJson } from '../../../platform/canonical-json/index.js';
import type { PodSnapshot } from '../../pods/index.js';
import type { Next, OpenFinding, Situation, StageRecord } from './plan.js';
import type { TaskControl } from './task-control.js';
import { ROLES, runningStatus, type Role, type RunningStatus } from './task-status.js';

/** As much of a task as the plan judges by. */
interface JudgedTask {
  pod: PodSnapshot;
  control: TaskControl;
  maxRetries: number;
  stages: readonly StageRecord[];
  findings: readonly (OpenFinding & { iteration: number; open: boolean })[];
}

/** A task as the plan judges it. */
export function situationOf(run: JudgedTask): Situation {
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

/** The newest attempt of each role's newest iteration. */
export function newestStages(stages: readonly StageRecord[]): Partial<Record<Role, StageRecord>> {
  const newest: Partial<Record<Role, StageRecord>> = {};
  for (const stage of stages) {
    const known = newest[stage.role];
    const later =
      known === undefined ||
      stage.iteration > known.iteration ||
      (stage.iteration === known.iteration && stage.attempt > known.attempt);
    if (later) newest[stage.role] = stage;
  }
  return newest;
}

/**
 * The status with which a task goes on: that of the first stage that runs next. A pod whose every condition says no runs
 * nothing: its tasks complete from the status of its last stage.
 */
export function firstStatus(pod: PodSnapshot, next: Next): RunningStatus {
  const first = next.kind === 'run' ? next.roles[0] : pod.agents.at(-1)?.role;
  return runningStatus(first ?? 'task');
}

/**
 * SHA-256 of what a reviewer is shown: the newest outputs and the difference of the work tree. It does not depend on what
 * was decided about them, so approving leaves it as it is.
 */
export function reviewedContentHash(newest: Partial<Record<Role, StageRecord>>, diffHash: string | null): string {
  // PostgreSQL gives jsonb back with its keys in an order of its own.
  const shown = ROLES.map((role) => {
    const record = newest[role];
    return record?.status === 'complete' ? [role, record.iteration, record.output] : [role, null, null];
  });
  return createHash('sha256')
    .update(canonicalJson([shown, diffHash]))
    .digest('hex');
}
