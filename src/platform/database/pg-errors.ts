import pg from 'pg';

/** Whether `error` is a violation of the named constraint or unique index. */
export function violates(error: unknown, constraint: string): boolean {
  return error instanceof pg.DatabaseError && error.constraint === constraint;
}

/** Serialization faults and deadlocks: the same transaction may succeed when tried again. */
export function isRetryable(error: unknown): boolean {
  return error instanceof pg.DatabaseError && (error.code === '40001' || error.code === '40P01');
}

/** Whether no answer came at all: the connection is of no further use. */
export function isLostConnection(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return /^(57P0[1-5]|08\d{3})$/.test(error.code ?? '');
  if (!(error instanceof Error)) return false;
  return SOCKET_CODES.test((error as NodeJS.ErrnoException).code ?? '') || CLIENT_MESSAGES.test(error.message);
}

/**
 * Whether the server could not be reached, went away, refused the log-in, or cannot take work now: lost sockets, time-outs,
 * shutdowns (57P0x), too many connections or a full disk (53xxx), input and output errors (58xxx), a read-only
 * standby (25006), a database that takes no connections (55000).
 */
export function isConnectionFault(error: unknown): boolean {
  if (isLostConnection(error)) return true;
  return (
    error instanceof pg.DatabaseError &&
    /^(53\d{3}|58\d{3}|28\d{3}|28P01|3D000|25006|55000|55P03|57014)$/.test(error.code ?? '')
  );
}

/** Whether a server that was just started may still come up: there is no socket yet, or recovery runs. */
export function isStartingUp(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return error.code === '57P03';
  if (!(error instanceof Error)) return false;
  return (
    /^(ENOENT|ECONNREFUSED|ECONNRESET)$/.test((error as NodeJS.ErrnoException).code ?? '') ||
    CLIENT_MESSAGES.test(error.message)
  );
}

/**
 * Why the database cannot be used, as a short sentence for readiness and the log. It never holds what the server or a
 * library said, since that can name users, addresses and parts of the connection string.
 */
export function outageReason(error: unknown): string {
  const code = error instanceof Error ? String((error as NodeJS.ErrnoException).code ?? '') : '';
  if (error instanceof pg.DatabaseError)
    return SERVER_REASONS[code] ?? poolerReason(code, error.message) ?? `the database refused with SQLSTATE ${code}`;
  if (code in NETWORK_REASONS) return NETWORK_REASONS[code] ?? '';
  if (/^(ERR_TLS|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/.test(code))
    return 'the certificate of the database server is not trusted';
  const message = error instanceof Error ? error.message : '';
  if (/does not support SSL/i.test(message)) return 'the database server does not speak TLS';
  if (/password must be a string|no password/i.test(message))
    return 'the database server wants a password and none is configured';
  if (/timeout/i.test(message)) return 'the database server does not answer in time';
  if (CLIENT_MESSAGES.test(message)) return 'the database server closed the connection';
  return UNKNOWN_OUTAGE;
}

/** What a pooler refused; it gives one code for everything. Only names of settings are taken from its words. */
function poolerReason(code: string, message: string): string | undefined {
  if (code !== '08P01') return undefined;
  const [, setting] = /unsupported startup parameter(?: in options)?: ["']?([a-z_.]{1,64})\b/i.exec(message) ?? [];
  if (setting !== undefined)
    return `the connection pooler refuses the setting ${setting}; take it out of DATABASE_URL, or list it in ignore_startup_parameters`;
  return POOLER_REASONS.find(([words]) => words.test(message))?.[1];
}

const POOLER_REASONS: readonly (readonly [RegExp, string])[] = [
  [
    /query_wait_timeout|no more connections|pool.*(full|exhausted)/i,
    'the connection pooler has no free connection to the database server',
  ],
  [/no such database/i, 'the connection pooler does not know the database'],
  [/no such user|auth|password/i, 'the connection pooler refused the log-in'],
  [/transaction blocks? not allowed/i, 'the connection pooler runs in statement mode, which allows no transactions'],
  [
    /server.*(fail|closed|crash)|connect failed|server login/i,
    'the connection pooler cannot reach the database server',
  ],
];

/** What `outageReason` says of an error it does not know. */
export const UNKNOWN_OUTAGE = 'the database cannot be used';

const SOCKET_CODES = /^(ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ENOENT|EACCES)/;
const CLIENT_MESSAGES =
  /Connection terminated|connection timeout|timeout exceeded when trying to connect|timeout expired|Query read timeout|Client has encountered a connection error|Cannot use a pool after calling end|Client was closed|not queryable/i;

const SERVER_REASONS: Readonly<Record<string, string>> = {
  '28P01': 'the database refused the password',
  '28000': 'the database refused the log-in',
  '3D000': 'the database does not exist on its server',
  '42501': 'the role of the service may not do what it needs in the database',
  '25006': 'the database is read-only',
  '53100': "the database server's disk is full",
  '53200': 'the database server is out of memory',
  '53300': 'the database server has no free connection',
  '55000': 'the database takes no connections',
  '55P03': 'the database is locked by another session',
  '57014': 'the database did not answer in time',
  '57P01': 'the database server is shutting down',
  '57P02': 'the database server crashed',
  '57P03': 'the database server is starting up or shutting down',
};

const NETWORK_REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the database server refuses connections',
  ECONNRESET: 'the database server closed the connection',
  EPIPE: 'the database server closed the connection',
  ENOTFOUND: 'the host name of the database is not known',
  EAI_AGAIN: 'the host name of the database cannot be looked up now',
  ETIMEDOUT: 'the database server does not answer in time',
  EHOSTUNREACH: 'the database server cannot be reached',
  ENETUNREACH: 'the database server cannot be reached',
  ENOENT: 'the socket of the database server does not exist',
  EACCES: 'the socket of the database server may not be opened',
  ERR_INVALID_URL: 'DATABASE_URL cannot be read',
};
