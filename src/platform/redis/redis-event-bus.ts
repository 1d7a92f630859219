import { randomUUID } from 'node:crypto';
import { Listeners, MAX_MESSAGE_LENGTH } from './listeners.js';
import { EventBus } from './ports.js';
import type { RedisConnections } from './redis-connections.js';

/**
 * Messages between processes. A process hands its own messages to its own listeners itself, and knows them by their sender
 * when they come back. A channel is live from the server's acknowledgement until the connection closes.
 */
export class RedisEventBus extends EventBus {
  private readonly listeners = new Listeners();
  private readonly self = randomUUID();
  /** Channels with listeners; true once live. A channel that was left and wanted again is a new entry. */
  private readonly channels = new Map<string, { live: boolean }>();
  private deaf = 0;

  constructor(
    private readonly connections: RedisConnections,
    private readonly prefix: string,
  ) {
    super();
    const { subscriber } = connections;
    subscriber.on('ready', () => this.request([...this.channels.keys()]));
    subscriber.on('close', () => this.deafen());
    subscriber.on('message', (name: string, text: string) => this.receive(name, text));
  }

  async publish(channel: string, message: unknown): Promise<void> {
    const text = this.listeners.encode(channel, message);
    if (text === null) return;
    const envelope = `{"from":"${this.self}","message":${text}}`;
    const sent = this.connections.run((client) => client.publish(this.prefix + channel, envelope), 0);
    // No listener runs inside the publisher's own call, nor waits for the server.
    await Promise.resolve();
    this.listeners.deliver(channel, JSON.parse(text));
    await sent;
  }

  subscribe(channel: string, listener: (message: unknown) => void, onLive?: () => void): () => void {
    const remove = this.listeners.add(channel, { listener, onLive }, this.channels.get(channel)?.live === true);
    if (!this.channels.has(channel)) {
      this.channels.set(channel, { live: false });
      this.deaf += 1;
      this.request([channel]);
    }
    return () => {
      remove();
      const state = this.channels.get(channel);
      if (state === undefined || this.listeners.has(channel)) return;
      this.channels.delete(channel);
      if (!state.live) this.deaf -= 1;
      if (this.ready) this.connections.subscriber.unsubscribe(this.prefix + channel).catch(() => undefined);
    };
  }

  get connected(): boolean {
    return this.ready && this.deaf === 0;
  }

  /** Asks again for channels that are not live, for example after a refusal. */
  repair(): void {
    if (this.deaf > 0) this.request([...this.channels].filter(([, state]) => !state.live).map(([channel]) => channel));
  }

  /** Treats every channel as lost, before the connection has noticed. */
  deafen(): void {
    for (const state of this.channels.values()) state.live = false;
    this.deaf = this.channels.size;
  }

  private get ready(): boolean {
    return this.connections.subscriber.status === 'ready';
  }

  private request(channels: readonly string[]): void {
    if (!this.ready || channels.length === 0) return;
    const asked = channels.map((channel) => [channel, this.channels.get(channel)] as const);
    this.connections.subscriber.subscribe(...channels.map((channel) => this.prefix + channel)).then(
      () => {
        for (const [channel, state] of asked) {
          if (state === undefined || state.live || this.channels.get(channel) !== state) continue;
          state.live = true;
          this.deaf -= 1;
          this.listeners.announce(channel);
        }
      },
      () => undefined,
    );
  }

  private receive(name: string, text: string): void {
    if (!name.startsWith(this.prefix) || text.length > MAX_MESSAGE_LENGTH + 100) return;
    const envelope = parseEnvelope(text);
    if (envelope !== null && envelope.from !== this.self)
      this.listeners.deliver(name.slice(this.prefix.length), envelope.message);
  }
}

function parseEnvelope(text: string): { from: string; message: unknown } | null {
  try {
    const { from, message } = JSON.parse(text) as { from?: unknown; message?: unknown };
    return typeof from === 'string' ? { from, message } : null;
  } catch {
    return null;
  }
}
