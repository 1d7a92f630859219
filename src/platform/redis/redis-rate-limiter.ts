import { RateLimiterRedis } from 'rate-limiter-flexible';
import { BoundedMemoryLimiter, COUNT_ONLY, CountingRateLimiter } from './in-process-rate-limiter.js';
import type { RedisConnections } from './redis-connections.js';
import { TAKE_POINTS } from './redis-scripts.js';

/** Counts on the server, and in this process while the server is gone, hangs or refuses. */
export class RedisRateLimiter extends CountingRateLimiter {
  constructor(connections: RedisConnections, keyPrefix: string) {
    super(
      new RateLimiterRedis({
        ...COUNT_ONLY,
        keyPrefix,
        storeClient: connections.commands,
        rejectIfRedisNotReady: true,
        customIncrTtlLuaScript: TAKE_POINTS,
        insuranceLimiter: new BoundedMemoryLimiter(COUNT_ONLY),
      }),
    );
  }
}
