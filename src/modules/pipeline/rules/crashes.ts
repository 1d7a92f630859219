/** Tasks that crashed in their stage and run at a time in one worker: if one of them kills it, so many crash again. */
export const MOST_CRASHED = 8;

/** Whether a task with so many crashes in its stage may be what kills workers, so that it runs with nothing beside it. */
export function isSuspect(stageCrashes: number): boolean {
  return stageCrashes >= 2;
}
