import { Injectable } from '@nestjs/common';
import { KeyedQueue } from '../concurrency/index.js';
import { KEYED_LOCK_CLASS } from './advisory-locks.js';
import { Database } from './database.js';
import { sql, type Sql } from './sql.js';

/** Transactions of which those with one key run one after the other, in whichever processes: what one counts, no other adds to. */
@Injectable()
export class KeyedTransactions {
  private readonly queue = new KeyedQueue();

  constructor(private readonly database: Database) {}

  /**
   * As `Database.transaction`. Of those that wait in this process only the first has a connection, so that a key for which many
   * wait leaves the others theirs. Waits for whatever holds `shareOfKey`. Never called within a transaction.
   */
  run<T>(name: string, key: string, work: () => Promise<T>): Promise<T> {
    return this.queue.take(key, () =>
      this.database.transaction(name, async () => {
        await this.database.query(
          'keyedTransactions.lock',
          sql`select pg_advisory_xact_lock(${KEYED_LOCK_CLASS}::integer, hashtext(${key}::text))`,
        );
        return work();
      }),
    );
  }
}

/**
 * A condition of a statement: true where no transaction of the key runs, or this is the one, and then none begins until the
 * surrounding transaction ends.
 */
export function shareOfKey(key: string): Sql {
  return sql`pg_try_advisory_xact_lock_shared(${KEYED_LOCK_CLASS}::integer, hashtext(${key}::text))`;
}
