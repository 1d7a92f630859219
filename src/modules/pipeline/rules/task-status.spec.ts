import { describe, expect, it } from '@jest/globals';
import { LEGAL_MOVES } from '../../../../test/support/legal-moves.js';
import { isLegalMove, isTerminal, TASK_STATUSES } from './task-status.js';

describe('the table of moves', () => {
  it('says the same as the hand-written list', () => {
    const table = TASK_STATUSES.flatMap((from) =>
      TASK_STATUSES.filter((to) => from !== to && isLegalMove(from, to)).map((to) => `${from} > ${to}`),
    );
    expect(table.toSorted()).toEqual([...LEGAL_MOVES].toSorted());
  });

  it('lets every task that has not ended be cancelled', () => {
    for (const status of TASK_STATUSES) expect(isLegalMove(status, 'cancelled')).toBe(!isTerminal(status));
  });
});
