/** What a connection string says, and nothing it does not: options in its query would override ours and are ignored. */
export interface RedisAddress {
  host: string;
  port: number;
  db: number;
  username?: string;
  password?: string;
  tls?: Record<string, never>;
}

/**
 * Reads `redis[s]://[[user]:password@]host[:port][/database]`.
 * @throws Error whose message is the rest of a sentence that begins with the variable's name; never shows the value.
 */
export function parseRedisUrl(url: string): RedisAddress {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === '' || parsed.hash !== '') {
    throw new Error(
      'must be a connection string that starts with redis:// or rediss://; reserved characters of a password must be percent-encoded',
    );
  }
  const database = /^\/?(\d{0,5})$/.exec(parsed.pathname);
  if (database === null) throw new Error('must end in the number of a database, as in redis://host:6379/2');
  return {
    host: parsed.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: parsed.port === '' ? 6379 : Number(parsed.port),
    db: Number(database[1]),
    ...(parsed.username === '' ? {} : { username: decoded(parsed.username) }),
    ...(parsed.password === '' ? {} : { password: decoded(parsed.password) }),
    ...(parsed.protocol === 'rediss:' ? { tls: {} } : {}),
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
