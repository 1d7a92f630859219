import type { PodSnapshot } from '../../pods/index.js';
import type { Situation } from './situation.js';
import type { GateKind, TaskControl } from './task-control.js';
import { runningStatus, type Role, type RunningStatus } from './task-status.js';

/** What changes in the same transition, besides the control state. */
export interface Effects {
  /** Findings that the decision agent's override resolves. */
  overridden: string[];
}

export type Next = { control: TaskControl; effects: Effects } & (
  | { kind: 'run'; roles: Role[] }
  | { kind: 'retry'; roles: Role[]; retryNumber: number }
  | { kind: 'gate'; gate: GateKind; reason: string; details: Record<string, unknown> }
  | { kind: 'snooze'; until: number; provider: string }
  | { kind: 'fail'; code: string; message: string }
  | { kind: 'complete' }
);

/** What a plan may say next, by kind. */
export type NextOf<Kind extends Next['kind']> = Extract<Next, { kind: Kind }>;

/** No effects. */
export const NO_EFFECTS: Effects = { overridden: [] };

/** Fails the task for good. */
export function failTask(situation: Situation, code: string, message: string, effects: Effects = NO_EFFECTS): Next {
  return { kind: 'fail', code, message, control: situation.control, effects };
}

/**
 * The status with which a task goes on: that of the first stage that runs next. A pod whose every condition says no runs
 * nothing: its tasks complete from the status of its last stage.
 */
export function firstStatus(pod: PodSnapshot, next: Next): RunningStatus {
  const first = next.kind === 'run' ? next.roles[0] : pod.agents.at(-1)?.role;
  return runningStatus(first ?? 'task');
}
