import { wholeTtl } from './in-process-live-state.js';
import { LiveState } from './ports.js';
import type { RedisConnections } from './redis-connections.js';

/** Values on the server, each under one key that expires. */
export class RedisLiveState extends LiveState {
  constructor(
    private readonly connections: RedisConnections,
    private readonly prefix: string,
  ) {
    super();
  }

  get(key: string): Promise<string | null> {
    return this.connections.run((client) => client.get(this.prefix + key), null);
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    await this.connections.run((client) => client.set(this.prefix + key, value, 'PX', wholeTtl(ttlMs)), null);
  }

  async release(key: string, value: string): Promise<void> {
    await this.connections.run((client) => client.novaRelease(this.prefix + key, value), 0);
  }
}
