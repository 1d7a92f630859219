import type { Database } from '../../src/platform/database/index.js';

/**
 * Runs `lock` in a transaction of a session of its own, which stays open until the returned function is called: the database
 * does not end it for being idle, so a busy machine may take its time.
 */
export async function holdLock(database: Database, lock: string): Promise<() => Promise<void>> {
  const holder = await database.reserve('test holder');
  await holder.query('set idle_in_transaction_session_timeout = 0');
  await holder.query('begin');
  await holder.query(lock);
  return async () => {
    await holder.query('rollback');
    await holder.end();
  };
}
