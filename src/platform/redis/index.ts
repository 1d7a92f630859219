export {
  AgentStore,
  EventBus,
  LiveState,
  LiveStateHealth,
  RateLimiter,
  TaskBell,
  type RateLimitVerdict,
} from './ports.js';
