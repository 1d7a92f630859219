import { Module, type Provider, type Type } from '@nestjs/common';
import { AppConfig } from '../../config/index.js';
import { InProcessSharedState } from './in-process-shared-state.js';
import { AgentStore, EventBus, LiveState, LiveStateHealth, RateLimiter, TaskBell } from './ports.js';
import { RedisSharedState } from './redis-shared-state.js';
import { SharedState } from './shared-state.js';

const PORTS = [TaskBell, EventBus, LiveState, AgentStore, RateLimiter, LiveStateHealth];

/** The ports of the shared state: on Redis when `REDIS_URL` names one, else inside this process. */
@Module({
  providers: [
    {
      provide: SharedState,
      inject: [AppConfig],
      useFactory: ({ redis }: AppConfig): SharedState =>
        redis.url === null ? new InProcessSharedState() : new RedisSharedState({ url: redis.url }),
    },
    port(TaskBell, (state) => state.bell),
    port(EventBus, (state) => state.bus),
    port(LiveState, (state) => state.live),
    port(AgentStore, (state) => state.agents),
    port(RateLimiter, (state) => state.limiter),
    port(LiveStateHealth, (state) => state.health),
  ],
  exports: [SharedState, ...PORTS],
})
export class RedisModule {}

function port<T>(token: abstract new () => T, of: (state: SharedState) => T): Provider {
  return { provide: token as Type<T>, inject: [SharedState], useFactory: of };
}
