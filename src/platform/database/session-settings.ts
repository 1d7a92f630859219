import type pg from 'pg';

/** What a session is given after its log-in. Times are in milliseconds; 0 is no limit. */
export interface SessionSettings {
  statement_timeout: number;
  lock_timeout: number;
  idle_in_transaction_session_timeout: number;
  /** The one schema that the service's tables are in; the search path of the role where absent. */
  schema?: string | undefined;
}

/**
 * What the code takes for granted of every session, whatever the server, the database, the role or a URL has set. A read-only
 * default is not among it: providers set it when a disk is full, so it is told as an outage.
 */
const TAKEN_FOR_GRANTED: Readonly<Record<string, string>> = {
  client_encoding: 'UTF8',
  datestyle: 'ISO, MDY',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  bytea_output: 'hex',
  extra_float_digits: '1',
  array_nulls: 'on',
  standard_conforming_strings: 'on',
  transform_null_equals: 'off',
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  // Idle connections of the pool and those that hold locks are meant to stay.
  idle_session_timeout: '0',
  transaction_timeout: '0',
  // What is answered is durable; only a server that is told to forget is overruled, stronger settings stay.
  synchronous_commit: 'on',
};

/**
 * Gives `client`'s session everything the service relies on, in one statement. It is no part of the log-in because poolers refuse
 * settings there. Settings that this version of PostgreSQL does not have are left out.
 */
export async function settleSession(client: pg.ClientBase, { schema, ...limits }: SessionSettings): Promise<void> {
  const settings: [string, string | number][] = Object.entries({ ...TAKEN_FOR_GRANTED, ...limits });
  if (schema !== undefined) settings.push(['search_path', `"${schema.replaceAll('"', '""')}"`]);
  await client.query(
    `select set_config(s.name, s.value, false) from unnest($1::text[], $2::text[]) as s (name, value)
     where current_setting(s.name, true) is not null
       and (s.name <> 'synchronous_commit' or current_setting(s.name, true) = 'off')`,
    [settings.map(([name]) => name), settings.map(([, value]) => String(value))],
  );
}
