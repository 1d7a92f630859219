import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { faultsOf, MAX_POSITION, nextPosition, type TeamMember } from './pod-rules.js';
import { agentSettings } from '../../../test/support/pods.js';
import { stepsOf } from './pod.js';

function agent(role: TeamMember['role'], position: number, rest: Partial<TeamMember> = {}): TeamMember {
  return { id: role, ...agentSettings(role, position), ...rest };
}

const holdsWriting = (allowed: readonly string[] | null): boolean => allowed === null || allowed.includes('write_file');
const pointersOf = (before: TeamMember[], after: TeamMember[], editedId: string | null): string[] =>
  faultsOf(before, after, editedId, holdsWriting).map((fault) => fault.pointer);

describe('stepsOf', () => {
  it('joins neighbours of one group and nothing else', () => {
    const steps = stepsOf({
      agents: [null, null, 'a', 'a', 'b', 'a'].map((parallelGroup, index) => ({ index, parallelGroup })),
    });
    expect(steps.map((step) => step.map(({ index }) => index))).toEqual([[0], [1], [2, 3], [4], [5]]);
  });

  it('keeps every agent, in order', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ parallelGroup: fc.constantFrom(null, 'a', 'b') })), (agents) => {
        expect(stepsOf({ agents }).flat()).toEqual(agents);
      }),
    );
  });
});

describe('nextPosition', () => {
  it('follows the last position', () => {
    expect(nextPosition([])).toBe(1);
    expect(nextPosition([0])).toBe(1);
    expect(nextPosition([7, 2])).toBe(8);
  });

  it('is always free and in range', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 0, max: MAX_POSITION }), { maxLength: 5 }),
        fc.boolean(),
        (taken, high) => {
          const positions = high ? [...new Set([...taken, MAX_POSITION])] : taken;
          const position = nextPosition(positions);
          expect(positions).not.toContain(position);
          expect(position).toBeGreaterThanOrEqual(0);
          expect(position).toBeLessThanOrEqual(MAX_POSITION);
        },
      ),
    );
  });
});

describe('faultsOf', () => {
  const review = { parallelGroup: 'review' };

  it('lets only the context agent be skipped', () => {
    const context = agent('context', 1, { onFailure: 'skip' });
    expect(pointersOf([], [context], 'context')).toEqual([]);
    expect(pointersOf([], [agent('decision', 1, { onFailure: 'skip' })], 'decision')).toEqual(['#/on_failure']);
    expect(pointersOf([context], [{ ...context, role: 'task' }], 'context')).toEqual(['#/on_failure']);
  });

  it('allows writing tools to an agent that runs alone, whatever its group', () => {
    const alone = agent('task', 1, { ...review, allowedTools: null });
    expect(pointersOf([], [alone], 'task')).toEqual([]);
    const apart = [alone, agent('guardrail', 2), agent('code_review', 3, { ...review, allowedTools: ['write_file'] })];
    expect(pointersOf([], apart, 'code_review')).toEqual([]);
  });

  it('refuses a writing tool to a member of a parallel group', () => {
    const before = [agent('guardrail', 1, review), agent('code_review', 2, review)];
    const after = [before[0]!, { ...before[1]!, allowedTools: null }];
    expect(pointersOf(before, after, 'code_review')).toEqual(['#/allowed_tools']);
  });

  it('refuses an agent that would join one with a writing tool', () => {
    const before = [agent('task', 1, { ...review, allowedTools: ['write_file'] }), agent('guardrail', 2)];
    const after = [before[0]!, { ...before[1]!, ...review }];
    expect(pointersOf(before, after, 'guardrail')).toEqual(['#/parallel_group']);
  });

  it('sees agents that become neighbours when the one between them goes, is disabled or moves', () => {
    const first = agent('task', 1, { ...review, allowedTools: null });
    const between = agent('guardrail', 2);
    const last = agent('code_review', 3, review);
    const before = [first, between, last];
    expect(pointersOf(before, [first, last], null)).toEqual(['#/parallel_group']);
    expect(pointersOf(before, [first, { ...between, enabled: false }, last], 'guardrail')).toEqual([
      '#/parallel_group',
    ]);
    expect(pointersOf(before, [first, { ...between, position: 9 }, last], 'guardrail')).toEqual(['#/parallel_group']);
  });

  it('does not count disabled agents', () => {
    const after = [agent('task', 1, { ...review, allowedTools: null, enabled: false }), agent('guardrail', 2, review)];
    expect(pointersOf([], after, 'guardrail')).toEqual([]);
  });

  it('does not hold against an edit what was wrong before it', () => {
    const team = [agent('guardrail', 1, { ...review, allowedTools: null }), agent('code_review', 2, review)];
    const context = agent('context', 0);
    expect(pointersOf([context, ...team], [{ ...context, name: 'New' }, ...team], 'context')).toEqual([]);
    expect(pointersOf(team, [{ ...team[0]!, name: 'New' }, team[1]!], 'guardrail')).toEqual(['#/allowed_tools']);
  });
});
