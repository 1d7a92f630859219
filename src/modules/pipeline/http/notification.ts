import type { EventType } from '../store/transition.js';
import type { GateKind } from '../rules/task-control.js';
import { TASK_STATUSES } from '../rules/task-status.js';
import type { OwnedEvent } from '../views/task-events.repository.js';

/** What a person is told about a task: nothing of the task's own text, only its pod and where it stands. */
export interface Notification {
  type: NotifiedType;
  taskId: string;
  title: string;
  body: string;
  at: Date;
}

/** Events that somebody is told about. */
export const NOTIFIED_TYPES = [
  'task.finished',
  'gate.opened',
  'gate.decided',
  'task.retried',
  'task.reaped',
] as const satisfies readonly EventType[];
export type NotifiedType = (typeof NOTIFIED_TYPES)[number];

const GATES: Record<GateKind, string> = {
  escalation: 'the work was escalated',
  finding: 'there are findings that only a person may clear',
  final: 'the pod wants every result reviewed',
  unseen: 'no judge was shown all of the work',
  cost: 'the cost limit is reached',
  stage_error: 'a stage failed',
  tool_effect: 'the outcome of a tool call is not known',
  publish_conflict: 'files changed while the task worked on them',
};
const DECISIONS: Record<string, string> = { approve: 'approved', reject: 'rejected', cancel: 'cancelled' };
const RETRIES: Record<string, string> = {
  stage_failed: 'a stage failed and will run again',
  provider: 'no model provider takes work now',
  released: 'its worker stopped and another one goes on',
  requeued: 'the operator put it back',
  machine: 'its machine cannot serve it now',
};

const SENTENCES: Record<NotifiedType, (data: Record<string, unknown>) => readonly [state: string, body: string]> = {
  'task.finished': ({ to }) => {
    const status = known(TASK_STATUSES, to);
    return [status ?? 'finished', status === null ? 'The task has ended.' : `The task has ended: ${status}.`];
  },
  'gate.opened': ({ kind }) => {
    const why = typeof kind === 'string' && Object.hasOwn(GATES, kind) ? GATES[kind as GateKind] : null;
    return ['waits for review', why === null ? 'A person must decide.' : `A person must decide: ${why}.`];
  },
  'gate.decided': ({ decision }) => {
    const word = typeof decision === 'string' && Object.hasOwn(DECISIONS, decision) ? DECISIONS[decision] : 'decided';
    return [`review ${word}`, `The open review was ${word}.`];
  },
  'task.retried': ({ reason }) => {
    const why = typeof reason === 'string' && Object.hasOwn(RETRIES, reason) ? RETRIES[reason] : 'it could not go on';
    return ['will be tried again', `The task waits in the queue: ${why}.`];
  },
  'task.reaped': () => ['was recovered', 'The worker of the task was lost; the task was taken from it.'],
};

/** The notification of an event; null for events that nobody is told about. */
export function notificationOf(event: OwnedEvent): Notification | null {
  const type = known(NOTIFIED_TYPES, event.type);
  if (type === null) return null;
  const [state, body] = SENTENCES[type](event.data);
  return { type, taskId: event.taskId, title: `${event.podName}: ${state}`, body, at: event.at };
}

function known<T extends string>(values: readonly T[], value: unknown): T | null {
  return values.find((candidate) => candidate === value) ?? null;
}
