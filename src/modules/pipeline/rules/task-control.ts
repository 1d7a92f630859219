import { validate as isUuid } from 'uuid';
import type { GateRow } from '../../../platform/database/index.js';
import type { JudgeRole } from '../../pods/index.js';
import type { GitTrap, GitTraps } from '../../tools/index.js';
import type { Role } from './task-status.js';

const UUID_LENGTH = 36;

export type GateKind = GateRow['kind'];

/** Names one iteration of one stage, for example `guardrail#2`. */
export type StageKey = `${Role}#${number}`;

export function stageKey(role: Role, iteration: number): StageKey {
  return `${role}#${iteration}`;
}

/** Traps for git as a gate shows them: the first few, how many there are, and the hash over all of them. */
export interface ShownTraps {
  files: GitTrap[];
  more: number;
  hash: string;
}

const MOST_TRAPS_SHOWN = 20;
const MOST_PATH_SHOWN = 300;

export function shownTraps({ listed, total, hash }: GitTraps): ShownTraps {
  const files = listed.slice(0, MOST_TRAPS_SHOWN).map(({ path, kind }) => ({
    path: path.length > MOST_PATH_SHOWN ? `${path.slice(0, MOST_PATH_SHOWN)}…` : path,
    kind,
  }));
  return { files, more: total - files.length, hash };
}

/** The small state that says where a task stands; kept in its row, written by every transition. */
export interface TaskControl {
  /** Index of the current step (a stage, or a parallel group). */
  step: number;
  /** 1, and one more for every re-run of the task stage. */
  iteration: number;
  flags: { guardrailBlocked: boolean; codeReviewRejected: boolean };
  /** Re-runs that each verdict has caused. */
  reruns: Record<JudgeRole, number>;
  /** Retries used up by each stage iteration. */
  retries: Partial<Record<StageKey, number>>;
  /** Attempts that a stage iteration may have; absent is one. */
  allowedAttempts: Partial<Record<StageKey, number>>;
  /** The iteration whose block or rejection was overridden or approved. */
  forgiven: Record<JudgeRole, number | null>;
  /** Hash of the content a person approved last. */
  approvedHash: string | null;
  /** Hash of the work, unseen by the judges, that a person released last; absent is none. */
  releasedUnseen?: string;
  /** USD; the pod's limit plus what people added. */
  costLimitUsd: number | null;
  /** Milliseconds spent waiting for providers. */
  providerWaitMs: number;
  /** How often the task was put off because its machine could not serve it; absent is never. */
  machinePauses?: number;
  /** Hash of the work tree's difference from its base; null while there is none. */
  diffHash: string | null;
  /** The parts of the task's changes that the owner's git would obey; absent is nothing. */
  traps?: ShownTraps;
  /** Hash of the traps that a person let pass last; absent is none. */
  releasedTraps?: string;
  /** By path, the version of the workspace over which a person lets the task's file win; absent is none. */
  publishOver?: [path: string, version: string][];
  /** Paths that an earlier release overwrote whatever they held. They approve nothing, and are not added to. */
  publishForce: string[];
  /** How many tasks and turns above this one started it by a tool; absent is none. */
  depth?: number;
  /** The epoch of the requeue that began the task's present life; absent in its first. Each life has a work tree of its own. */
  life?: number;
}

/** The name of the work tree that a task has in its present life, which whoever cleans up after an earlier one never names. */
export function treeName(taskId: string, { life }: Pick<TaskControl, 'life'>): string {
  return life === undefined ? taskId : `${taskId}-${life}`;
}

/** The task whose work tree, of any life, has this name; null when it is no such name. */
export function taskOfTree(name: string): string | null {
  const id = name.slice(0, UUID_LENGTH);
  return isUuid(id) ? id : null;
}

/** The state of a task that was just submitted. */
export function initialControl(costLimitUsd: number | null): TaskControl {
  return {
    step: 0,
    iteration: 1,
    flags: { guardrailBlocked: false, codeReviewRejected: false },
    reruns: { guardrail: 0, code_review: 0 },
    retries: {},
    allowedAttempts: {},
    forgiven: { guardrail: null, code_review: null },
    approvedHash: null,
    costLimitUsd,
    providerWaitMs: 0,
    diffHash: null,
    publishForce: [],
  };
}
