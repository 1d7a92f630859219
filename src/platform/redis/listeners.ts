import { Logger } from '@nestjs/common';

interface Subscription {
  readonly listener: (message: unknown) => void;
  readonly onLive: (() => void) | undefined;
}

/** Longest message in characters of JSON; a longer one is dropped, whoever sent it. */
export const MAX_MESSAGE_LENGTH = 2 ** 20;

/** The listeners of one process, by channel. A listener's fault stops neither the others nor the process. */
export class Listeners {
  private readonly logger = new Logger('EventBus');
  private readonly channels = new Map<string, Set<Subscription>>();

  /** Adds a listener; `live` tells whether messages arrive already. Returns how to remove it. */
  add(channel: string, subscription: Subscription, live: boolean): () => void {
    const subscriptions = this.channels.get(channel) ?? new Set();
    this.channels.set(channel, subscriptions.add(subscription));
    if (live)
      queueMicrotask(() => subscriptions.has(subscription) && this.call(channel, () => subscription.onLive?.()));
    return () => {
      if (subscriptions.delete(subscription) && subscriptions.size === 0) this.channels.delete(channel);
    };
  }

  has(channel: string): boolean {
    return this.channels.has(channel);
  }

  /** Hands `message` to everyone who listens to `channel`. */
  deliver(channel: string, message: unknown): void {
    for (const { listener } of this.channels.get(channel) ?? []) this.call(channel, () => listener(message));
  }

  /** Tells everyone who listens to `channel` that messages of other processes begin to arrive. */
  announce(channel: string): void {
    for (const { onLive } of this.channels.get(channel) ?? []) this.call(channel, () => onLive?.());
  }

  /** `message` as JSON, or null, and a warning, when it is too long to be sent. */
  encode(channel: string, message: unknown): string | null {
    const text = JSON.stringify(message) ?? 'null';
    if (text.length <= MAX_MESSAGE_LENGTH) return text;
    this.logger.warn(`A message for ${channel} was dropped: it is too long`);
    return null;
  }

  private call(channel: string, listen: () => unknown): void {
    const failed = (): void => this.logger.error(`A listener of ${channel} failed`);
    try {
      const result = listen();
      // The signature says void, which lets an async function through.
      if (result instanceof Promise) result.catch(failed);
    } catch {
      failed();
    }
  }
}
