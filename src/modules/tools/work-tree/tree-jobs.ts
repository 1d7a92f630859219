import { DomainError } from '../../../platform/errors/index.js';
import { ThreadPool } from '../../../platform/threads/index.js';
import type * as worker from './trees.worker.js';

type Jobs = Pick<typeof worker, 'moment' | 'fill' | 'list' | 'takeOver' | 'compare' | 'hunks'>;
type Value<Name extends keyof Jobs> = Extract<ReturnType<Jobs[Name]>, { value: unknown }>['value'];

/** Threads that walk, read and copy trees, so that the event loop does not. */
const threads = new ThreadPool<Jobs>(import.meta.url, 'trees.worker.js');

/**
 * Runs one job on trees in another thread.
 * @throws what the job does; `signal.reason` when it aborts, then the thread stops where it is.
 */
export async function runTreeJob<Name extends keyof Jobs>(
  name: Name,
  order: Parameters<Jobs[Name]>[0],
  signal?: AbortSignal,
): Promise<Value<Name>> {
  const outcome = (await threads.run(name, order as never, signal)) as ReturnType<Jobs[Name]>;
  if ('value' in outcome) return outcome.value as Value<Name>;
  if ('refused' in outcome) throw new DomainError(outcome.refused.code, outcome.refused.detail);
  const { message, code, stack } = outcome.failed;
  throw Object.assign(new Error(message), { stack }, code === undefined ? {} : { code });
}
