export { InProcessSharedState } from './in-process-shared-state.js';
export {
  AgentStore,
  EventBus,
  LiveState,
  LiveStateHealth,
  RateLimiter,
  TaskBell,
  type RateLimitVerdict,
} from './ports.js';
export { RedisModule } from './redis.module.js';
export { RedisSharedState, type RedisSharedStateOptions } from './redis-shared-state.js';
export { SharedState } from './shared-state.js';
