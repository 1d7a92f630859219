import { InProcessTaskBell, isRing, MAX_RINGS } from './in-process-task-bell.js';
import { TaskBell } from './ports.js';
import { BLOCK_SECONDS, type RedisConnections } from './redis-connections.js';
import { isTimeout, isWrongType } from './redis-fault.js';

const IDS_PER_PUSH = 1_000;
const PAUSE_AFTER_REFUSAL_MS = 1_000;

/**
 * The bell of all processes, a capped list on the server. Waiters wait in the process; one loop pops for all of them, and
 * only while there are any, since a process without a free slot must not take rings from the others. Without a server
 * the process still hears its own rings.
 */
export class RedisTaskBell extends TaskBell {
  private readonly local = new InProcessTaskBell();
  private popping = false;
  private stopped = false;

  constructor(
    private readonly connections: RedisConnections,
    private readonly key: string,
  ) {
    super();
    connections.blocking.on('ready', () => void this.pop());
  }

  async ring(ids: readonly string[]): Promise<void> {
    const rings = ids.filter(isRing);
    const unheard = rings.slice(rings.length - this.local.wake(rings.length)).slice(-MAX_RINGS);
    const pushes = [];
    for (let from = 0; from < unheard.length; from += IDS_PER_PUSH) {
      pushes.push(this.push(unheard.slice(from, from + IDS_PER_PUSH)));
    }
    await Promise.all(pushes);
  }

  wait(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const rang = this.local.wait(timeoutMs, signal);
    void this.pop();
    return rang;
  }

  stop(): void {
    this.stopped = true;
    this.local.stop();
  }

  private async push(ids: string[]): Promise<void> {
    const pushed = await this.connections.run((client) => client.novaRing(this.key, MAX_RINGS, ...ids), 0);
    // What the server did not take, this process hears itself, a waiter that came meanwhile at once.
    if (pushed === 0) this.local.hold(this.local.wake(ids.length));
  }

  /** Pops while anyone waits and the server is there; the connection's `ready` starts it again. */
  private async pop(): Promise<void> {
    if (this.popping) return;
    this.popping = true;
    try {
      while (!this.stopped && this.local.waiting > 0 && this.connections.blocking.status === 'ready') {
        await this.popOnce();
      }
    } finally {
      this.popping = false;
    }
  }

  private async popOnce(): Promise<void> {
    try {
      const popped = await this.connections.blocking.brpop(this.key, BLOCK_SECONDS);
      if (popped !== null) await this.heard(popped[1]);
    } catch (error) {
      if (this.connections.blocking.status !== 'ready') return;
      if (isTimeout(error)) this.connections.blocking.disconnect(true);
      const healed =
        isWrongType(error) && (await this.connections.run((client) => client.novaHeard(this.key), 0)) === 1;
      if (healed) return;
      this.connections.noteRefusal(error);
      await pause();
    }
  }

  private async heard(id: string): Promise<void> {
    if (!isRing(id)) return;
    if (this.local.wake(1) === 0) {
      await this.connections.run((client) => client.novaHeard(this.key), 0);
    } else if ((await this.connections.run((client) => client.rpush(this.key, id), 0)) === 0) {
      // Nobody waits here any more and it could not go back to where another process would hear it.
      this.local.hold(1);
    }
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_REFUSAL_MS).unref());
}
