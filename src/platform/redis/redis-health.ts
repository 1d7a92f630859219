import { Logger } from '@nestjs/common';
import { LiveStateHealth } from './ports.js';
import type { RedisConnections } from './redis-connections.js';
import type { RedisEventBus } from './redis-event-bus.js';
import { describeFault, isTimeout } from './redis-fault.js';

const EVERY_MS = 1_000;

/**
 * Asks the server each second on the two connections that would not notice a dead peer by themselves. A connection that
 * does not answer is replaced; until the new one is ready, commands fail at once instead of hanging.
 */
export class RedisHealth extends LiveStateHealth {
  override readonly kind = 'redis';
  private readonly logger = new Logger('Redis');
  private lastAnswerMs = -Infinity;
  private reason: string | null;
  private readonly reported = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private running = false;

  constructor(
    private readonly connections: RedisConnections,
    private readonly bus: RedisEventBus,
    private readonly monotonicMs: () => number,
  ) {
    super();
    this.reason = connections.lastFault;
    // The first answer after an outage need not wait for the next second.
    connections.commands.on('ready', () => void this.askCommands());
  }

  outage(): { sinceMs: number; reason: string } | null {
    return this.reason === null ? null : { sinceMs: this.lastAnswerMs, reason: this.reason };
  }

  start(): void {
    this.running = true;
    this.schedule();
  }

  stop(): void {
    this.running = false;
    clearTimeout(this.timer);
    this.reason = 'the service is shutting down';
  }

  private schedule(): void {
    if (this.running) this.timer = setTimeout(() => void this.look().finally(() => this.schedule()), EVERY_MS).unref();
  }

  private async look(): Promise<void> {
    this.connections.revive();
    await Promise.all([this.askCommands(), this.askSubscriber()]);
    this.report();
  }

  private async askCommands(): Promise<void> {
    const { commands } = this.connections;
    try {
      if (commands.status !== 'ready') return this.note(this.connections.lastFault);
      await commands.ping();
      this.lastAnswerMs = this.monotonicMs();
      this.note(null);
    } catch (error) {
      this.note(describeFault(error));
      if (isTimeout(error)) commands.disconnect(true);
    }
  }

  private async askSubscriber(): Promise<void> {
    const { subscriber } = this.connections;
    try {
      if (subscriber.status !== 'ready') return;
      await subscriber.ping();
      this.bus.repair();
    } catch (error) {
      if (!isTimeout(error)) return;
      this.bus.deafen();
      subscriber.disconnect(true);
    }
  }

  private note(reason: string | null): void {
    if (this.running) this.reason = reason;
  }

  /** Logs the end of an outage, and each of its reasons once: they may alternate from second to second. */
  private report(): void {
    if (!this.running) return;
    if (this.reason === null) {
      if (this.reported.size > 0) this.logger.log('Redis answers again');
      this.reported.clear();
    } else if (!this.reported.has(this.reason)) {
      this.reported.add(this.reason);
      this.logger.warn(`Redis does not answer: ${this.reason}. The service goes on without it.`);
    }
  }
}
