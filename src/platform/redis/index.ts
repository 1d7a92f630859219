export { InProcessSharedState } from './in-process-shared-state.js';
export { AgentStore, EventBus, LiveState, LiveStateHealth, RateLimiter, TaskBell } from './ports.js';
export { RedisModule } from './redis.module.js';
export { RedisSharedState } from './redis-shared-state.js';
export { SharedState } from './shared-state.js';
