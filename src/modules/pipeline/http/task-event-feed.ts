import { Injectable } from '@nestjs/common';
import { Clock } from '../../../platform/clock/index.js';
import { untilAnswered } from '../../../platform/database/index.js';
import { EventBus } from '../../../platform/redis/index.js';
import { TASK_EVENTS_CHANNEL } from '../store/task-event-publisher.js';
import { TaskEventsRepository, type TaskEventView } from '../views/task-events.repository.js';

/** Events read at once: what one reader may hold in memory. */
const BATCH = 500;
/** Milliseconds between two looks while announcements do not arrive, and while they do. */
const BLIND_LOOK_MS = 1_000;
const SAFETY_LOOK_MS = 5_000;

interface Reader {
  /** The last event that was handed over. */
  seq: number;
  wake(): void;
}

/**
 * Follows the logs of tasks. PostgreSQL is read, never the announcement: announcements on the bus only say that reading is
 * worth while, and one shared look per second (five while announcements arrive) covers those that are lost.
 */
@Injectable()
export class TaskEventFeed {
  private readonly readers = new Map<string, Set<Reader>>();
  private watching: AbortController | null = null;

  constructor(
    private readonly bus: EventBus,
    private readonly events: TaskEventsRepository,
    private readonly clock: Clock,
  ) {}

  /**
   * Batches of a task's events after `seq`, in order, without gap or repetition, as they come. Ends when the task has
   * ended and everything was told, when the task is deleted, or when `signal` aborts. While the database is away it waits.
   */
  async *follow(taskId: string, seq: number, signal: AbortSignal): AsyncGenerator<TaskEventView[], void, undefined> {
    const bell = new Bell();
    const reader: Reader = { seq, wake: () => bell.ring() };
    this.add(taskId, reader);
    try {
      while (!signal.aborted) {
        // Heard before the read: what is announced while the read is under way causes another one.
        bell.hush();
        const batch = await untilAnswered(this.clock, BLIND_LOOK_MS, signal, () =>
          this.events.after(taskId, reader.seq, BATCH),
        );
        if (batch === null || signal.aborted) return;
        reader.seq = batch.events.at(-1)?.seq ?? reader.seq;
        if (batch.events.length > 0) yield batch.events;
        if (batch.last) return;
        if (batch.events.length < BATCH) await bell.rung(signal);
      }
    } finally {
      this.remove(taskId, reader);
    }
  }

  private add(taskId: string, reader: Reader): void {
    const readers = this.readers.get(taskId) ?? new Set();
    this.readers.set(taskId, readers.add(reader));
    if (this.watching === null) {
      this.watching = new AbortController();
      void this.watch(this.watching.signal);
    }
  }

  private remove(taskId: string, reader: Reader): void {
    const readers = this.readers.get(taskId);
    readers?.delete(reader);
    if (readers?.size === 0) this.readers.delete(taskId);
    if (this.readers.size === 0) {
      this.watching?.abort();
      this.watching = null;
    }
  }

  /** Runs while anybody follows anything. */
  private async watch(signal: AbortSignal): Promise<void> {
    const unsubscribe = this.bus.subscribe(
      TASK_EVENTS_CHANNEL,
      (message) => {
        const { task_id: taskId, seq } = (message ?? {}) as { task_id?: unknown; seq?: unknown };
        if (typeof taskId === 'string') this.wake(taskId, typeof seq === 'number' ? seq : Infinity);
      },
      () => void this.look(),
    );
    signal.addEventListener('abort', unsubscribe, { once: true });
    for (let lookedAt = this.clock.monotonicMs(); !signal.aborted;) {
      await this.clock.sleep(BLIND_LOOK_MS, signal);
      if (signal.aborted || (this.bus.connected && this.clock.monotonicMs() - lookedAt < SAFETY_LOOK_MS)) continue;
      lookedAt = this.clock.monotonicMs();
      await this.look();
    }
  }

  /** Wakes the readers that are behind, and those whose task has ended or is gone. */
  private async look(): Promise<void> {
    const ids = [...this.readers.keys()];
    const heads = await this.events.heads(ids).catch(() => null);
    if (heads === null) return;
    for (const id of ids) {
      const head = heads.get(id);
      this.wake(id, head === undefined || head.ended ? Infinity : head.seq);
    }
  }

  private wake(taskId: string, seq: number): void {
    for (const reader of this.readers.get(taskId) ?? []) if (seq > reader.seq) reader.wake();
  }
}

/** A ring that is remembered until it is hushed. */
class Bell {
  private ringing = false;
  private answer: (() => void) | null = null;

  ring(): void {
    this.ringing = true;
    this.answer?.();
  }

  hush(): void {
    this.ringing = false;
  }

  /** Resolves once the bell has rung since it was hushed, or `signal` aborts. */
  rung(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (this.ringing || signal.aborted) return resolve();
      const done = (): void => {
        signal.removeEventListener('abort', done);
        this.answer = null;
        resolve();
      };
      this.answer = done;
      signal.addEventListener('abort', done, { once: true });
    });
  }
}
