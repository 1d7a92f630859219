import { DomainError } from '../errors/index.js';
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

  async acquire(key: string, value: string, ttlMs: number): Promise<boolean> {
    try {
      const taken = await this.connections.attempt((client) =>
        client.novaAcquire(this.prefix + key, value, wholeTtl(ttlMs)),
      );
      return taken === 1;
    } catch (error) {
      // The cause may quote the value, so only that it happened is passed on.
      this.connections.noteRefusal(error);
      throw new DomainError('dependency_unavailable', 'The shared state cannot be reached at the moment.', {
        retryAfterSeconds: 2,
      });
    }
  }

  async renew(key: string, value: string, ttlMs: number): Promise<boolean> {
    const renewed = this.connections.run((client) => client.novaRenew(this.prefix + key, value, wholeTtl(ttlMs)), 0);
    return (await renewed) === 1;
  }

  async release(key: string, value?: string): Promise<void> {
    const name = this.prefix + key;
    await this.connections.run(
      (client) => (value === undefined ? client.del(name) : client.novaRelease(name, value)),
      0,
    );
  }
}
