import { AsyncResource } from 'node:async_hooks';
import PQueue from 'p-queue';

/** Runs work that shares a key one after the other, in this process, in the order it arrived; keys do not wait for each other. */
export class KeyedQueue {
  private readonly queues = new Map<string, PQueue>();

  /** Settles as `work` does, which runs in the caller's async context. Work that fails does not hold up the next one. */
  async take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const queue = this.queues.get(key) ?? new PQueue({ concurrency: 1 });
    this.queues.set(key, queue);
    try {
      return await queue.add(AsyncResource.bind(work));
    } finally {
      if (queue.size + queue.pending === 0 && this.queues.get(key) === queue) this.queues.delete(key);
    }
  }

  /** Keys with work that runs or waits. */
  get busyKeys(): number {
    return this.queues.size;
  }
}
