import pg from 'pg';
import { eventually } from '../eventually.js';

/** Waits until whoever serves `url` lets a client of PostgreSQL in. `ended` tells why it never will; null while it may. */
export async function untilItAnswers(what: string, url: string, ended: () => string | null): Promise<void> {
  let last: unknown = null;
  await eventually(`${what} answers`, async () => {
    const why = ended();
    if (why !== null) throw new Error(`${what} did not start: ${why}`, { cause: last });
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return true;
    } catch (error) {
      last = error;
      return false;
    } finally {
      await client.end().catch(() => undefined);
    }
  });
}
