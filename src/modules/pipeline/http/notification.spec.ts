import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { EventType } from '../store/transition.js';
import type { GateKind } from '../rules/task-control.js';
import { TASK_STATUSES } from '../rules/task-status.js';
import { NOTIFIED_TYPES, notificationOf } from './notification.js';

const event = (type: EventType, data: Record<string, unknown>) =>
  notificationOf({ seq: 1, type, taskId: 'id', at: new Date(0), data, owner: 'key:a', podName: 'Quartet' });

describe('a notification', () => {
  it('says where the task stands', () => {
    expect(event('task.finished', { to: 'failed' })).toEqual({
      type: 'task.finished',
      taskId: 'id',
      title: 'Quartet: failed',
      body: 'The task has ended: failed.',
      at: new Date(0),
    });
    expect(event('gate.opened', { kind: 'cost' satisfies GateKind })?.body).toContain('cost limit');
    expect(event('gate.decided', { decision: 'reject' })?.title).toBe('Quartet: review rejected');
    expect(event('task.retried', { reason: 'provider' })?.body).toContain('provider');
    expect(event('task.reaped', {})?.title).toBe('Quartet: was recovered');
  });

  it('is not made of what nobody needs to know', () => {
    for (const type of ['task.queued', 'task.claimed', 'stage.started', 'stage.finished', 'finding.added'] as const) {
      expect(event(type, {})).toBeNull();
    }
  });

  it('holds nothing of the event but known words', () => {
    const words = new Set<unknown>([...TASK_STATUSES, 'approve', 'reject', 'cancel']);
    const hostile = fc.oneof(fc.constantFrom('__proto__', 'constructor', 'toString'), fc.string({ minLength: 12 }));
    fc.assert(
      fc.property(fc.constantFrom(...NOTIFIED_TYPES), hostile, (type, text) => {
        fc.pre(!words.has(text));
        const told = event(type, { to: text, kind: text, decision: text, reason: text, error: text, output: text });
        expect(told).toEqual(event(type, {}));
      }),
    );
  });
});
