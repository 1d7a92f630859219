/** @needs redis-server */
import { describeSharedState } from './live-state.contract.js';
import { eventually } from '../../support/eventually.js';
import { privateRedis } from './private-redis.js';

describeSharedState('on Redis', async () => {
  const redis = await privateRedis();
  return {
    connect: () => redis.connect(),
    wipe: async () => {
      await redis.stranger.flushall();
    },
    interrupt: async (clients) => {
      await redis.server.kill();
      await eventually('the outage is known', () =>
        clients.every(({ bus, health }) => health.outage() !== null && !bus.connected),
      );
      await redis.server.start();
      await eventually('they work again', () =>
        clients.every(({ bus, health }) => health.outage() === null && bus.connected),
      );
    },
    close: () => redis.close(),
  };
});
