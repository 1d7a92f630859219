import { describe, expect, it } from '@jest/globals';
import { LEGAL_TRANSITIONS } from '../../../../test/support/legal-transitions.js';
import { isLegalTransition, isTerminal, TASK_STATUSES } from './task-status.js';

describe('the table of transitions', () => {
  it('says the same as the hand-written list', () => {
    const table = TASK_STATUSES.flatMap((from) =>
      TASK_STATUSES.filter((to) => from !== to && isLegalTransition(from, to)).map((to) => `${from} > ${to}`),
    );
    expect(table.toSorted()).toEqual([...LEGAL_TRANSITIONS].toSorted());
  });

  it('lets every task that has not ended be cancelled', () => {
    for (const status of TASK_STATUSES) expect(isLegalTransition(status, 'cancelled')).toBe(!isTerminal(status));
  });
});
