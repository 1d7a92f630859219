import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../../../platform/clock/index.js';
import { isUuid } from '../../../platform/paging/index.js';
import { EventBus } from '../../../platform/redis/index.js';
import { TASK_EVENTS_CHANNEL } from '../store/task-event-publisher.js';
import { TaskEventsRepository, type OwnedEvent } from '../views/task-events.repository.js';
import { NOTIFIED_TYPES, notificationOf, type Notification } from './notification.js';

/** Milliseconds between two looks while announcements do not arrive, and while they do. */
const BLIND_LOOK_MS = 1_000;
const SAFETY_LOOK_MS = 5_000;
/** How far before the last look a look reaches back: longer than any transaction that writes events. */
const OVERLAP_SECONDS = 15;
/** Events of one look, and events remembered as told; a look never finds more than are remembered. */
const LOOK_LIMIT = 5_000;
const REMEMBERED = 20_000;
/** Notifications that wait for one slow listener; one that falls further behind is let go. */
const MOST_WAITING = 1_000;

/**
 * Tells people what happens to tasks, as it happens: a projection of `task_events`. Announcements on the bus name the
 * events that are then read from PostgreSQL, owner and all; one shared look per second (five while announcements arrive)
 * finds those that were not announced. Nothing is told twice, and nothing that happened before the first listener came.
 */
@Injectable()
export class NotificationFeed {
  private readonly logger = new Logger('NotificationFeed');
  private readonly listeners = new Set<Listener>();
  private readonly told = new Set<string>();
  private readonly announced = new Map<string, { taskId: string; seq: number }>();
  private reading = false;
  private lookedAt = 0;
  private watching: AbortController | null = null;
  private started: Promise<void> = Promise.resolve();

  constructor(
    private readonly bus: EventBus,
    private readonly events: TaskEventsRepository,
    private readonly clock: Clock,
  ) {}

  /**
   * Starts to collect notifications about the tasks of `owners` (null: everybody's); what happens after this resolves is
   * told. The caller must iterate the listener, or close it.
   * @throws DomainError `dependency_unavailable`.
   */
  async listen(owners: readonly string[] | null): Promise<Listener> {
    const listener = new Listener(owners, () => this.remove(listener));
    this.listeners.add(listener);
    if (this.watching === null) {
      this.watching = new AbortController();
      this.started = this.watch(this.watching.signal);
    }
    try {
      await this.started;
    } catch (error) {
      listener.close();
      throw error;
    }
    return listener;
  }

  private remove(listener: Listener): void {
    this.listeners.delete(listener);
    if (this.listeners.size > 0) return;
    this.watching?.abort();
    this.watching = null;
  }

  /** Starts to watch; resolves when what happened before is known, so that it is not told. */
  private async watch(signal: AbortSignal): Promise<void> {
    this.told.clear();
    const unsubscribe = this.bus.subscribe(
      TASK_EVENTS_CHANNEL,
      (message) => this.hear(message),
      () => void this.started.then(() => this.look()).catch(() => undefined),
    );
    signal.addEventListener('abort', unsubscribe, { once: true });
    const now = this.clock.monotonicMs();
    for (const event of await this.events.recent(NOTIFIED_TYPES, OVERLAP_SECONDS, LOOK_LIMIT)) this.remember(event);
    this.lookedAt = now;
    void this.watchOn(signal);
  }

  private async watchOn(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.clock.sleep(BLIND_LOOK_MS, signal);
      const idle = this.bus.connected && this.clock.monotonicMs() - this.lookedAt < SAFETY_LOOK_MS;
      if (!signal.aborted && !idle) await this.look();
    }
  }

  /** Tells what happened since the last look and was not told. */
  private async look(): Promise<void> {
    const now = this.clock.monotonicMs();
    try {
      const seconds = (now - this.lookedAt) / 1_000 + OVERLAP_SECONDS;
      this.tell(await this.events.recent(NOTIFIED_TYPES, seconds, LOOK_LIMIT));
      this.lookedAt = now;
    } catch (error) {
      this.logger.warn(`Events could not be read; the next look reaches back further (${String(error)})`);
    }
  }

  private hear(message: unknown): void {
    const { task_id: taskId, seq, type } = (message ?? {}) as { task_id?: unknown; seq?: unknown; type?: unknown };
    if (typeof taskId !== 'string' || !isUuid(taskId) || !Number.isSafeInteger(seq)) return;
    if (!NOTIFIED_TYPES.some((known) => known === type) || this.announced.size >= LOOK_LIMIT) return;
    this.announced.set(`${taskId}/${String(seq)}`, { taskId, seq: seq as number });
    if (!this.reading) void this.readAnnounced();
  }

  /** Reads what was announced, all that came in the meantime at once; what cannot be read is found by the next look. */
  private async readAnnounced(): Promise<void> {
    this.reading = true;
    try {
      await this.started;
      while (this.announced.size > 0) {
        const keys = [...this.announced.values()];
        this.announced.clear();
        this.tell(await this.events.named(keys));
      }
    } catch (error) {
      this.announced.clear();
      this.logger.warn(`Announced events could not be read (${String(error)})`);
    } finally {
      this.reading = false;
    }
  }

  private tell(events: readonly OwnedEvent[]): void {
    for (const event of events) {
      const notification = notificationOf(event);
      if (notification === null || !this.remember(event)) continue;
      for (const listener of this.listeners) listener.offer(event.owner, notification);
    }
  }

  /** False when the event was told already. */
  private remember(event: OwnedEvent): boolean {
    const key = `${event.taskId}/${event.seq}`;
    if (this.told.has(key)) return false;
    this.told.add(key);
    if (this.told.size > REMEMBERED) this.told.delete(this.told.values().next().value as string);
    return true;
  }
}

/** One listener's notifications: those that are for it, in order, as they come. */
class Listener {
  private readonly waiting: Notification[] = [];
  private wake: () => void = () => undefined;
  private closed = false;

  constructor(
    private readonly owners: readonly string[] | null,
    private readonly onClose: () => void,
  ) {}

  offer(owner: string, notification: Notification): void {
    if (this.closed || (this.owners !== null && !this.owners.includes(owner))) return;
    if (this.waiting.length >= MOST_WAITING) return this.close();
    this.waiting.push(notification);
    this.wake();
  }

  /** Until `signal` aborts, or the listener is so slow that it was let go. Closes the listener at its end. */
  async *notifications(signal: AbortSignal): AsyncGenerator<Notification, void, undefined> {
    const stop = (): void => this.close();
    signal.addEventListener('abort', stop, { once: true });
    try {
      while (!signal.aborted && !this.closed) {
        const next = this.waiting.shift();
        if (next !== undefined) yield next;
        else await new Promise<void>((resolve) => (this.wake = resolve));
      }
    } finally {
      signal.removeEventListener('abort', stop);
      this.close();
    }
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.onClose();
    this.wake();
  }
}
