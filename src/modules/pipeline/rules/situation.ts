import { createHash } from 'node:crypto';
import type { CamelRow, FindingRow, StageRow } from '../../../platform/database/index.js';
import { canonicalJson } from '../../../platform/canonical-json/index.js';
import { roleKind, stepsOf, type PodSnapshot } from '../../pods/index.js';
import type { TaskControl } from './task-control.js';
import { ROLES, type Role } from './task-status.js';

/** The newest attempt of a role's newest iteration. */
export type StageRecord = CamelRow<
  Pick<StageRow, 'id' | 'role' | 'iteration' | 'attempt' | 'status' | 'output' | 'error' | 'error_code'>
> & { role: Role };

export type OpenFinding = Pick<FindingRow, 'id' | 'severity' | 'deterministic'> & { type: FindingRow['finding_type'] };

export interface Situation {
  pod: PodSnapshot;
  control: TaskControl;
  /** Retries that each stage iteration may use. */
  maxRetries: number;
  /** By role; roles that have not run are absent. */
  newest: Partial<Record<Role, StageRecord>>;
  /** The open findings of the newest guardrail iteration. */
  findings: readonly OpenFinding[];
  /** Hash of what a reviewer is shown. */
  contentHash: () => string;
}

/** As much of a task as the plan judges by. */
interface JudgedTask {
  pod: PodSnapshot;
  control: TaskControl;
  maxRetries: number;
  stages: readonly StageRecord[];
  findings: readonly (OpenFinding & { iteration: number; open: boolean })[];
}

/** A task as the plan judges it. */
export function situationOf(task: JudgedTask): Situation {
  const newest = newestStages(task.stages);
  const guardrailIteration = newest.guardrail?.iteration ?? 0;
  return {
    pod: task.pod,
    control: task.control,
    maxRetries: task.maxRetries,
    newest,
    findings: task.findings.filter((finding) => finding.open && finding.iteration === guardrailIteration),
    contentHash: () => reviewedContentHash(newest, task.control.diffHash),
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

/** The step in which the work is done, to which verdicts send it back; -1 for none. */
export function taskStepOf(pod: PodSnapshot): number {
  return stepsOf(pod).findIndex((step) => step.some((agent) => roleKind(agent.role) === 'works'));
}

/** The iteration that `role` is in: stages before the task stage never run again. */
export function iterationOf(pod: PodSnapshot, control: TaskControl, role: Role): number {
  const task = taskStepOf(pod);
  const own = stepsOf(pod).findIndex((step) => step.some((agent) => agent.role === role));
  return task >= 0 && own >= task ? control.iteration : 1;
}

/** The newest attempt of `role` in the iteration that it is in; null while it has not run in it. */
export function current(situation: Situation, role: Role): StageRecord | null {
  const record = situation.newest[role];
  return record?.iteration === iterationOf(situation.pod, situation.control, role) ? record : null;
}
