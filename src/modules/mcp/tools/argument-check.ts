import { ThreadPool } from '../../../platform/threads/index.js';
import type * as worker from './argument-check.worker.js';

const MAX_ARGUMENT_BYTES = 1024 * 1024;
/** For a thread that does not come to its own deadline; waiting for a thread counts. */
const MOST_MS = 20_000;

const threads = new ThreadPool<Pick<typeof worker, 'check'>>(import.meta.url, 'argument-check.worker.js');

/**
 * A check of arguments against a schema that a server wrote: interpreted, so no code is made of it; nothing is fetched; bounded
 * in time, in another thread. It returns what is wrong, as a sentence, or null. A check that cannot decide leaves it to the
 * server, which knows its own schema.
 */
export function argumentCheck(schema: Record<string, unknown>): (args: unknown) => Promise<string | null> {
  return async (args) => {
    if (typeof args !== 'object' || args === null || Array.isArray(args)) return 'The arguments must be an object.';
    if (Buffer.byteLength(JSON.stringify(args)) > MAX_ARGUMENT_BYTES) return 'The arguments are larger than 1 MiB.';
    return threads.run('check', { schema, args }, AbortSignal.timeout(MOST_MS)).catch(() => null);
  };
}
