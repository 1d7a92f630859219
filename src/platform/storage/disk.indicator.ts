import type { HealthIndicatorResult } from '@nestjs/terminus';
import { ReadinessIndicator, type HealthIndicator, type IndicatorState } from '../health/index.js';
import { StorageRoom } from './storage-room.js';

/** Reports whether there is room for new work; never decides, since reads and reviews need none. */
@ReadinessIndicator({ name: 'disk', decides: false })
export class DiskIndicator implements HealthIndicator {
  constructor(private readonly room: StorageRoom) {}

  check(state: IndicatorState): HealthIndicatorResult {
    const short = this.room.shortOf();
    if (short === null) return state.up();
    return state.degraded({ reason: `the disk of ${short} is nearly full; new work is refused` });
  }
}
