import pg from 'pg';
import type { Clock } from '../clock/index.js';
import { LOCK_CLASS, SINGLE_PROCESS_LOCK } from './advisory-locks.js';

/** Another process keeps its shared state in memory and uses the same database. This process has to end. */
export class SingleProcessError extends Error {
  override readonly name = 'SingleProcessError';
  constructor() {
    super(
      'Another process without REDIS_URL uses this database: its lock was still held after ' +
        `${WAIT_MS / 1000} seconds. Stop that process, or give all processes one REDIS_URL.`,
    );
  }
}

const WAIT_MS = 15_000;
const POLL_MS = 200;

/**
 * Takes the lock that says "one process with in-process state per database" for as long as `client` lives. A process that ended
 * properly or was killed has lost it already; one that is ending gets some time.
 * @throws SingleProcessError when another session still holds it after 15 seconds.
 */
export async function takeSingleProcessLock(client: pg.Client, clock: Clock, signal: AbortSignal): Promise<void> {
  // Lets the server notice in time that this process's machine is gone, so that its successor gets the lock.
  await client.query('set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 2; set tcp_keepalives_count = 3');
  const deadline = clock.monotonicMs() + WAIT_MS;
  for (;;) {
    const { rows } = await client.query<{ locked: boolean }>('select pg_try_advisory_lock($1, $2) as locked', [
      LOCK_CLASS,
      SINGLE_PROCESS_LOCK,
    ]);
    if (rows[0]?.locked === true) return;
    if (clock.monotonicMs() >= deadline) throw new SingleProcessError();
    await clock.sleep(POLL_MS, signal);
    signal.throwIfAborted();
  }
}
