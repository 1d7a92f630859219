import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { DomainError } from '../../../platform/errors/index.js';
import type * as worker from './trees.worker.js';

type Jobs = Pick<typeof worker, 'fill' | 'list' | 'takeOver' | 'compare'>;
type Value<Name extends keyof Jobs> = Extract<ReturnType<Jobs[Name]>, { value: unknown }>['value'];

const IDLE_MS = 30_000;
const MOST_THREADS = 4;

/** Threads that walk, read and copy trees, so that the event loop does not; started when there is work, kept for a while. */
let pool: Piscina | undefined;

/** The compiled worker: threads run no TypeScript, as tests do in the sources. */
const WORKER = import.meta.url.replace(/\/src\/(?=modules\/)/, '/dist/').replace(/[^/]*$/, 'trees.worker.js');

/**
 * Runs one job on trees in another thread.
 * @throws what the job does; `signal.reason` when it aborts, then the thread stops where it is.
 */
export async function runTreeJob<Name extends keyof Jobs>(
  name: Name,
  order: Parameters<Jobs[Name]>[0],
  signal?: AbortSignal,
): Promise<Value<Name>> {
  signal?.throwIfAborted();
  pool ??= new Piscina({
    filename: WORKER,
    minThreads: 0,
    maxThreads: Math.min(MOST_THREADS, availableParallelism()),
    idleTimeout: IDLE_MS,
    execArgv: [],
    env: {},
  });
  let outcome: ReturnType<Jobs[Name]>;
  try {
    outcome = (await pool.run(order, { name, signal: signal ?? null })) as ReturnType<Jobs[Name]>;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
  if ('value' in outcome) return outcome.value as Value<Name>;
  if ('refused' in outcome) throw new DomainError(outcome.refused.code, outcome.refused.detail);
  const { message, code, stack } = outcome.failed;
  throw Object.assign(new Error(message), { stack }, code === undefined ? {} : { code });
}
