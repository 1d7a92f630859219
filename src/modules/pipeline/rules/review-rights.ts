import { ownerOf, type Principal } from '../../auth/index.js';
import type { ReviewBy } from '../../pods/index.js';

/** Whether `principal` may decide gates of a task, and see what waits behind them. */
export function mayReview(principal: Principal, task: { owner: string; reviewBy: ReviewBy }): boolean {
  if (principal.kind === 'admin') return true;
  if (principal.kind === 'anonymous' || task.reviewBy === 'admin') return false;
  return task.owner === ownerOf(principal) || task.owner === 'anonymous';
}
