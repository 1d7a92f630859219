import { secretFileVariable } from './secret-variables.js';

/** Variables of libpq that fill in what `DATABASE_URL` leaves out, as they do for every client of PostgreSQL. */
const LIBPQ_ADDRESS = /^PG(HOST|PORT|USER|PASSWORD|PASSFILE|DATABASE|SSLMODE|SSLNEGOTIATION)$/;

/**
 * The variables of libpq in `source` that the service must not see: the database driver reads them behind everybody's back. All of
 * them where the embedded database is used; else those that change sessions, which the service sets itself.
 */
export function foreignLibpqVariables(source: Record<string, string | undefined>): string[] {
  const embedded = [source.DATABASE_URL, source[secretFileVariable('DATABASE_URL')]].every(
    (url = '') => url.trim() === '',
  );
  return Object.keys(source).filter((name) => /^PG[A-Z]/.test(name) && (embedded || !LIBPQ_ADDRESS.test(name)));
}
