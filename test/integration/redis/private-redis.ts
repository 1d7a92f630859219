import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { RedisSharedState } from '../../../src/platform/redis/index.js';
import { startRedis, type RedisOptions, type TestRedis } from '../../support/servers/index.js';
import { eventually } from '../../support/eventually.js';

/** A server of the spec's own, clients of it, and someone else who reads and writes there. */
export interface PrivateRedis {
  readonly server: TestRedis;
  readonly prefix: string;
  /** A stranger's connection, as an operator's `redis-cli`. */
  readonly stranger: Redis;
  /** A client that is connected, or merely started. */
  connect(): Promise<RedisSharedState>;
  start(url?: string): RedisSharedState;
  close(): Promise<void>;
}

export async function privateRedis(options?: RedisOptions): Promise<PrivateRedis> {
  const server = await startRedis(options);
  const prefix = `nova-${randomUUID()}:`;
  const stranger = new Redis(server.url, { retryStrategy: () => 20 });
  stranger.on('error', () => undefined);
  const clients: RedisSharedState[] = [];
  const start = (url = server.url): RedisSharedState => {
    const client = new RedisSharedState({ url, prefix });
    clients.push(client);
    client.start();
    return client;
  };
  return {
    server,
    prefix,
    stranger,
    start,
    connect: async () => {
      const client = start();
      await eventually('the client is connected', () => works(client));
      return client;
    },
    close: async () => {
      await Promise.all(clients.map((client) => client.stop()));
      const left = new Promise((resolve) => stranger.once('end', resolve));
      stranger.disconnect();
      await left;
      await server.stop();
    },
  };
}

/** Whether every connection of `client` does. */
export function works(client: RedisSharedState): boolean {
  return client.health.outage() === null && client.bus.connected;
}
