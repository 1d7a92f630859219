import { everyValue, type TaskRow } from '../../../platform/database/index.js';
import { POD_ROLES, type PodRole } from '../../pods/index.js';

/**
 * A task's states and the transitions between them. This table is the only place that says which are legal; the chart in
 * `docs/pipeline.md` is drawn from it.
 */
export type Role = PodRole;
export const ROLES: readonly Role[] = POD_ROLES;

export type RunningStatus = `${Role}_running`;
export const RUNNING_STATUSES: readonly RunningStatus[] = ROLES.map(runningStatus);
export const TERMINAL_STATUSES = ['complete', 'failed', 'cancelled'] as const;
/** As the table takes them: each has its legal transitions below, or this file does not compile. */
export type TaskStatus = TaskRow['status'];
export const TASK_STATUSES: readonly TaskStatus[] = everyValue<TaskStatus>()(
  'queued',
  ...RUNNING_STATUSES,
  'completing',
  'pending_human_review',
  ...TERMINAL_STATUSES,
);

const LEASED: readonly TaskStatus[] = [...RUNNING_STATUSES, 'completing'];

const FROM_RUNNING: readonly TaskStatus[] = [
  ...RUNNING_STATUSES,
  'queued',
  'completing',
  'pending_human_review',
  'complete',
  'failed',
  'cancelled',
];

function fromRunning(): Record<RunningStatus, TaskStatus[]> {
  const transitions = RUNNING_STATUSES.map((from) => [from, FROM_RUNNING.filter((to) => to !== from)]);
  return Object.fromEntries(transitions) as Record<RunningStatus, TaskStatus[]>;
}

/** Every legal transition. None leads from a status to itself: progress inside a status is not in the table. */
export const LEGAL_TRANSITIONS: Readonly<Record<TaskStatus, readonly TaskStatus[]>> = {
  queued: [...LEASED, 'cancelled'],
  ...fromRunning(),
  completing: ['queued', 'pending_human_review', 'complete', 'failed', 'cancelled'],
  pending_human_review: ['queued', 'cancelled'],
  complete: [],
  // Only the operator's requeue of a dead letter leaves a terminal state.
  failed: ['queued'],
  cancelled: [],
};

/** Whether a task may go from one status to another, or stay where it is while it has a lease. */
export function isLegalTransition(from: TaskStatus, to: TaskStatus): boolean {
  return from === to ? isLeased(from) : LEGAL_TRANSITIONS[from].includes(to);
}

/** Whether a worker holds a lease on tasks in this status. */
export function isLeased(status: TaskStatus): boolean {
  return LEASED.includes(status);
}

export function isTerminal(status: TaskStatus): boolean {
  return (TERMINAL_STATUSES as readonly TaskStatus[]).includes(status);
}

/** The status of a task whose first unfinished stage is `role`. */
export function runningStatus(role: Role): RunningStatus {
  return `${role}_running`;
}
