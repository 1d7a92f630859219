/** @needs redis-server */
import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { AppConfig, ConfigModule } from '../../../src/config/index.js';
import {
  AgentStore,
  EventBus,
  LiveState,
  LiveStateHealth,
  RateLimiter,
  RedisModule,
  TaskBell,
} from '../../../src/platform/redis/index.js';
import { startRedis } from '../../support/servers/index.js';
import { eventually } from '../../support/eventually.js';

const never = new AbortController().signal;

async function boot(REDIS_URL?: string) {
  const config = AppConfig.from({ REDIS_URL });
  const module = await Test.createTestingModule({ imports: [ConfigModule.with(config), RedisModule] }).compile();
  module.enableShutdownHooks();
  return module.init();
}

describe('RedisModule', () => {
  it('keeps the state in the process when no server is named', async () => {
    const module = await boot();
    expect(module.get(LiveStateHealth).kind).toBe('in-process');
    for (const port of [TaskBell, EventBus, LiveState, AgentStore, RateLimiter]) {
      expect(module.get(port as typeof LiveState)).toBeInstanceOf(port);
    }
    await module.close();
  });

  it('boots without waiting for the server, connects when it is there, and lets go at shutdown', async () => {
    const server = await startRedis();
    await server.kill();
    const module = await boot(server.url);
    const health = module.get(LiveStateHealth);
    expect(health.kind).toBe('redis');
    expect(health.outage()).not.toBeNull();
    await server.start();
    await eventually('it is connected', () => health.outage() === null && module.get(EventBus).connected);
    await module.get(LiveState).set('key', 'value', 60_000);
    expect(await module.get(LiveState).get('key')).toBe('value');
    const waiting = module.get(TaskBell).wait(60_000, never);
    await module.close();
    expect(await waiting).toBe(false);
    await server.stop();
  });

  it('refuses a connection string that cannot be read, without showing it', async () => {
    const refusal = await boot('redis://:sec#ret@host').then(() => '', String);
    expect(refusal).toContain('REDIS_URL');
    expect(refusal).not.toContain('sec');
  });
});
