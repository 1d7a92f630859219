import pg from 'pg';
import { settleSession, type SessionSettings } from './session-settings.js';
import { VALUE_TYPES } from './value-types.js';

/** How to connect, and what differs from the settings that every session gets. */
export type SessionOptions = Omit<pg.ClientConfig, keyof SessionSettings> & Partial<SessionSettings>;

/** Opens a single connection with the service's type parsers and settings. Its errors never end the process. */
export async function connectClient(
  options: SessionOptions,
  onLost: (error: Error) => void = () => undefined,
): Promise<pg.Client> {
  const { driver, settings } = splitOptions(options);
  const client = new pg.Client(driver);
  let told = true;
  const lose = (error: Error): void => {
    if (!told) {
      told = true;
      onLost(error);
    }
  };
  client.on('error', lose);
  client.on('end', () => lose(new Error('the connection ended')));
  const end = client.end.bind(client) as () => Promise<void>;
  client.end = ((): Promise<void> => {
    told = true;
    return end();
  }) as pg.Client['end'];
  try {
    await client.connect();
    await settleSession(client, settings);
  } catch (error) {
    void client.end().catch(() => undefined);
    throw error;
  }
  told = false;
  return client;
}

const CONNECTION_DEFAULTS = {
  application_name: 'nova',
  keepAlive: true,
  connectionTimeoutMillis: 5_000,
  query_timeout: 30_000,
  types: VALUE_TYPES,
} satisfies pg.ClientConfig;

const SESSION_DEFAULTS: SessionSettings = {
  statement_timeout: 25_000,
  lock_timeout: 10_000,
  idle_in_transaction_session_timeout: 30_000,
};

/** What the driver is told, and what its sessions are given once they are open. */
export function splitOptions(options: SessionOptions): { driver: pg.ClientConfig; settings: SessionSettings } {
  const {
    schema,
    statement_timeout = SESSION_DEFAULTS.statement_timeout,
    lock_timeout = SESSION_DEFAULTS.lock_timeout,
    idle_in_transaction_session_timeout = SESSION_DEFAULTS.idle_in_transaction_session_timeout,
    ...driver
  } = options;
  return {
    driver: { ...CONNECTION_DEFAULTS, ...driver },
    settings: { schema, statement_timeout, lock_timeout, idle_in_transaction_session_timeout },
  };
}
