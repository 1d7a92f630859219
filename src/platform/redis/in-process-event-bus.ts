import { Listeners } from './listeners.js';
import { EventBus } from './ports.js';

/** Messages within one process. */
export class InProcessEventBus extends EventBus {
  private readonly listeners = new Listeners();

  async publish(channel: string, message: unknown): Promise<void> {
    const text = this.listeners.encode(channel, message);
    if (text === null) return;
    // No listener runs inside the publisher's own call.
    await Promise.resolve();
    this.listeners.deliver(channel, JSON.parse(text));
  }

  subscribe(channel: string, listener: (message: unknown) => void, onLive?: () => void): () => void {
    return this.listeners.add(channel, { listener, onLive }, true);
  }

  get connected(): boolean {
    return true;
  }
}
