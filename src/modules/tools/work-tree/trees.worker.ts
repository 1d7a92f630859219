import { DomainError, type ErrorCode } from '../../../platform/errors/index.js';
import { errorCode } from '../boundary/path-refused.js';
import { compareTree } from './compare-tree.js';
import { fillTree } from './fill-tree.js';
import { lineHunks } from './hunks.js';
import { listTree } from './list-tree.js';
import { takeMoment } from './take-moment.js';
import { takeOverTree } from './take-over-tree.js';

/** How a job ended, as it can leave its thread: errors lose all but their words on the way. */
export type JobOutcome<T> =
  | { value: T }
  | { refused: { code: ErrorCode; detail: string } }
  | { failed: { message: string; code: string | undefined; stack: string | undefined } };

function job<Order, T>(work: (order: Order) => T): (order: Order) => JobOutcome<T> {
  return (order) => {
    try {
      return { value: work(order) };
    } catch (error) {
      if (error instanceof DomainError) return { refused: { code: error.code, detail: error.detail } };
      const { message, stack } = error instanceof Error ? error : new Error(String(error));
      return { failed: { message, code: errorCode(error), stack } };
    }
  };
}

export const moment = job(takeMoment);
export const fill = job(fillTree);
export const list = job(listTree);
export const takeOver = job(takeOverTree);
export const compare = job(compareTree);
export const hunks = job(lineHunks);
