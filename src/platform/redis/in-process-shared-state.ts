import { Clock } from '../clock/index.js';
import { InProcessAgentStore } from './in-process-agent-store.js';
import { InProcessEventBus } from './in-process-event-bus.js';
import { InProcessLiveState } from './in-process-live-state.js';
import { InProcessRateLimiter } from './in-process-rate-limiter.js';
import { InProcessTaskBell } from './in-process-task-bell.js';
import { LiveStateHealth } from './ports.js';
import { SharedState } from './shared-state.js';

class InProcessHealth extends LiveStateHealth {
  override readonly kind = 'in-process';

  outage(): null {
    return null;
  }
}

/** Every port inside this process: for one replica, and for tests. */
export class InProcessSharedState extends SharedState {
  override readonly bell = new InProcessTaskBell();
  override readonly bus = new InProcessEventBus();
  override readonly live: InProcessLiveState;
  override readonly agents = new InProcessAgentStore();
  override readonly limiter = new InProcessRateLimiter();
  override readonly health = new InProcessHealth();

  constructor(clock: Clock = new Clock()) {
    super();
    this.live = new InProcessLiveState(clock);
  }

  start(): void {}

  async stop(): Promise<void> {
    this.bell.stop();
  }

  /** Forgets everything, as a wiped server does. */
  clear(): void {
    this.bell.clear();
    this.live.clear();
    this.agents.clear();
    this.limiter.clear();
  }
}
