import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import type { AgentStore, EventBus, LiveState, LiveStateHealth, RateLimiter, TaskBell } from './ports.js';

/** One adapter of every port, and its life. */
export abstract class SharedState implements OnModuleInit, OnApplicationShutdown {
  abstract readonly bell: TaskBell;
  abstract readonly bus: EventBus;
  abstract readonly live: LiveState;
  abstract readonly agents: AgentStore;
  abstract readonly limiter: RateLimiter;
  abstract readonly health: LiveStateHealth;

  /** Begins to connect in the background and returns at once; never throws; a second call does nothing. */
  abstract start(): void;
  /** Ends waits, timers and connections. Afterwards every call finds the server gone. */
  abstract stop(): Promise<void>;

  onModuleInit(): void {
    this.start();
  }

  onApplicationShutdown(): Promise<void> {
    return this.stop();
  }
}
