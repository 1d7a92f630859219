import { Clock } from '../clock/index.js';
import { RedisAgentStore } from './redis-agent-store.js';
import { RedisConnections } from './redis-connections.js';
import { RedisEventBus } from './redis-event-bus.js';
import { RedisHealth } from './redis-health.js';
import { RedisLiveState } from './redis-live-state.js';
import { RedisRateLimiter } from './redis-rate-limiter.js';
import { RedisTaskBell } from './redis-task-bell.js';
import { SharedState } from './shared-state.js';

export interface RedisSharedStateOptions {
  url: string;
  /** What every key and channel begins with; tests that share a server choose another. */
  prefix?: string;
  clock?: Clock;
}

/** Every port on one Redis server, shared by all replicas. */
export class RedisSharedState extends SharedState {
  override readonly bell: RedisTaskBell;
  override readonly bus: RedisEventBus;
  override readonly live: RedisLiveState;
  override readonly agents: RedisAgentStore;
  override readonly limiter: RedisRateLimiter;
  override readonly health: RedisHealth;
  private readonly connections: RedisConnections;

  /** @throws Error when `url` is not a connection string. */
  constructor({ url, prefix = 'nova:', clock = new Clock() }: RedisSharedStateOptions) {
    super();
    this.connections = new RedisConnections(url);
    this.bell = new RedisTaskBell(this.connections, `${prefix}queue:tasks`);
    this.bus = new RedisEventBus(this.connections, prefix);
    this.live = new RedisLiveState(this.connections, prefix);
    this.agents = new RedisAgentStore(this.connections, prefix);
    this.limiter = new RedisRateLimiter(this.connections, `${prefix}ratelimit`);
    this.health = new RedisHealth(this.connections, this.bus, () => clock.monotonicMs());
  }

  start(): void {
    this.connections.start();
    this.health.start();
  }

  async stop(): Promise<void> {
    this.bell.stop();
    this.health.stop();
    await this.connections.stop();
  }
}
