import { Injectable } from '@nestjs/common';
import { EventBus } from '../../../platform/redis/index.js';

/** An event as it is announced after its commit. The announcement is a hint: readers read `task_events`. */
export interface PublishedEvent {
  task_id: string;
  owner: string;
  pod_name: string;
  seq: number;
  type: string;
  at: string;
  data: Record<string, unknown>;
}

/** Channel of all task events. */
export const TASK_EVENTS_CHANNEL = 'events';

/** Announces committed events to streams, notifications and the workers that must hear of a cancel. */
@Injectable()
export class TaskEventPublisher {
  constructor(private readonly bus: EventBus) {}

  /** Never fails and never waits: a lost announcement is found by polling. */
  publish(events: readonly PublishedEvent[]): void {
    for (const event of events) {
      this.bus.publish(TASK_EVENTS_CHANNEL, { ...event, at: new Date(event.at).toISOString() }).catch(() => undefined);
    }
  }
}
