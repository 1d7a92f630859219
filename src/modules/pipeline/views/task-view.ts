/**
 * Views are what callers see of the pipeline, read straight from the tables. What a caller may not see does not exist in
 * the caller's views.
 */
import type { TaskOutput, TaskSummary } from '../store/transition.js';
import type { GateKind } from '../rules/task-control.js';
import { RUNNING_STATUSES, runningStatus, ROLES, type Role, type TaskStatus } from '../rules/task-status.js';

/** The open gate of a task that waits for a person. */
export interface OpenGateView {
  gateId: string;
  kind: GateKind;
  reason: string;
  since: Date;
  contentHash: string;
  details: Record<string, unknown>;
}

/** A task as lists show it. */
export interface TaskView {
  id: string;
  status: TaskStatus;
  podId: string | null;
  podName: string;
  userInput: string;
  /** Null until the task is complete. */
  output: TaskOutput | null;
  error: string | null;
  errorContext: Record<string, unknown> | null;
  /** The stage that runs, runs next, or ran last; null before the first one and once the task is complete. */
  currentStage: Role | null;
  attempt: number;
  retryCount: number;
  maxRetries: number;
  priority: number;
  review: OpenGateView | null;
  createdAt: Date;
  queuedAt: Date;
  startedAt: Date | null;
  completedAt: Date | null;
  updatedAt: Date;
  lastHeartbeatAt: Date | null;
  metadata: Record<string, unknown>;
  summary: TaskSummary | null;
  totalInputTokens: number;
  totalCachedInputTokens: number;
  totalOutputTokens: number;
  totalCostUsd: number;
}

/** Why a task does not move. */
export type WaitingFor =
  | { reason: 'position'; position: number | '>1000' }
  | { reason: 'retry_at'; until: Date }
  | { reason: 'provider'; until: Date; provider: string | null }
  | { reason: 'review'; gateId: string }
  | { reason: 'suspect_slot' };

/** A task as its own page shows it. */
export interface TaskDetailView extends TaskView {
  /** The newest finished output of each stage; without the task stage's until the task is complete. */
  checkpoint: Partial<Record<Role, unknown>>;
  findingsCount: number;
  reviewsCount: number;
  artifactsCount: number;
  waitingFor: WaitingFor | null;
}

/** The role whose work a status names; null for statuses that name none. */
export function roleOf(status: string | null): Role | null {
  if (status === null || !(RUNNING_STATUSES as readonly string[]).includes(status)) return null;
  return ROLES.find((role) => runningStatus(role) === status) ?? null;
}
