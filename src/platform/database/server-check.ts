import { randomUUID } from 'node:crypto';
import type pg from 'pg';

/** A condition of the server, or of what stands before it, that the service cannot work with. The message is a sentence. */
export class UnusableServerError extends Error {
  override readonly name = 'UnusableServerError';
}

const OLDEST_VERSION = 15;

/**
 * Looks at what cannot be set for a session.
 * @returns the schema that the service's tables are in, or will be made in.
 * @throws UnusableServerError
 */
export async function checkServer(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query<{
    version: string;
    encoding: string;
    replication_role: string;
    schema: string | null;
  }>(
    // A schema that comes before ours in the search path must not hide the tables that are there already.
    `select current_setting('server_version') as version, current_setting('server_encoding') as encoding,
       current_setting('session_replication_role') as replication_role,
       coalesce((select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.oid = to_regclass('schema_migrations')), current_schema()) as schema`,
  );
  const [server] = rows;
  if (server === undefined) throw new UnusableServerError('the database server does not say what it is');
  const { version, encoding, replication_role, schema } = server;
  if (!(Number.parseInt(version, 10) >= OLDEST_VERSION)) {
    throw new UnusableServerError(`PostgreSQL ${OLDEST_VERSION} or newer is needed, this server is ${version}`);
  }
  if (encoding !== 'UTF8') {
    throw new UnusableServerError(
      `the database is encoded in ${encoding} and cannot hold every text; make one with ` +
        `"create database … encoding 'UTF8' template template0"`,
    );
  }
  if (replication_role === 'replica') {
    throw new UnusableServerError(
      'session_replication_role is replica here, so no trigger would run; set it to origin for the role of the service',
    );
  }
  if (schema === null) {
    throw new UnusableServerError(
      'the search_path of the role names no schema that exists; make the schema, or set the path with "alter role … set search_path"',
    );
  }
  return schema;
}

/** Why a pooler that gives sessions of the server to several clients is refused, and what to do. */
export const NO_SESSIONS =
  'a connection pooler in transaction or statement mode stands before the database, and locks and prepared statements ' +
  'need sessions of their own; point DATABASE_URL at the server itself or at a pool in session mode';

const OTHERS = 3;
const ROUNDS = 3;

/**
 * Makes sure that connections have sessions of their own, by what the server says of several that are open at once: each keeps its
 * server process, and no two share one. A pooler is also asked whether it hands sessions on with what was set in them.
 * @param client one that is open, of which `backendPid` was not asked yet
 * @throws UnusableServerError where they have none.
 */
export async function checkSessions(client: pg.Client, connect: () => Promise<pg.Client>): Promise<void> {
  const others: pg.Client[] = [];
  try {
    while (others.length < OTHERS) others.push(await connect());
    const open = [client, ...others];
    const pids = new Map<pg.Client, number>();
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const one of open) {
        const pid = await backendPid(one);
        if ((pids.get(one) ?? pid) !== pid) throw new UnusableServerError(NO_SESSIONS);
        pids.set(one, pid);
      }
      if (new Set(pids.values()).size < open.length) throw new UnusableServerError(NO_SESSIONS);
    }
    // The server itself names its process at the log-in; a pooler names something else.
    if ((client as unknown as { processID: number | null }).processID !== pids.get(client)) {
      await checkReset(others, connect);
    }
  } finally {
    await Promise.allSettled(others.map((other) => other.end()));
  }
}

/** Marks the sessions of `others`, lets them go and looks whether one comes back with its mark. Takes from `others`. */
async function checkReset(others: pg.Client[], connect: () => Promise<pg.Client>): Promise<void> {
  const mark = randomUUID();
  for (const other of others.splice(0)) {
    await other.query(`select set_config('nova.session', $1, false)`, [mark]);
    await other.end();
  }
  while (others.length < OTHERS) others.push(await connect());
  for (const other of others) {
    const { rows } = await other.query<{ left: string | null }>(`select current_setting('nova.session', true) as left`);
    if (rows[0]?.left === mark) {
      throw new UnusableServerError(
        'the connection pooler hands sessions on with the locks and settings of the client before; ' +
          'set server_reset_query to DISCARD ALL, or point DATABASE_URL at the server itself',
      );
    }
  }
}

/** The server process that serves `client`. */
export async function backendPid(client: pg.ClientBase): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]?.pid ?? 0;
}
