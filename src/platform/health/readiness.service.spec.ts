import { describe, expect, it } from '@jest/globals';
import { DiscoveryModule } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { TerminusModule } from '@nestjs/terminus';
import { Clock } from '../clock/index.js';
import { DatabaseBootstrap, type DatabaseState } from '../database/index.js';
import { LiveStateHealth } from '../redis/index.js';
import { DatabaseIndicator } from './database.indicator.js';
import { Lifecycle } from './lifecycle.js';
import { ReadinessIndicator, type HealthIndicator, type IndicatorState } from './readiness-indicator.js';
import { ReadinessService } from './readiness.service.js';
import { RedisIndicator } from './redis.indicator.js';

class HandClock extends Clock {
  ms = 0;
  override monotonicMs(): number {
    return this.ms;
  }
}

interface Bundle {
  readiness: ReadinessService;
  lifecycle: Lifecycle;
  clock: HandClock;
  database: DatabaseState;
  clocks: string | null;
  redis: { outage: { sinceMs: number; reason: string } | null };
}

/** `more` are indicators beside those of the two dependencies. */
async function setup(...more: (new () => HealthIndicator)[]): Promise<Bundle> {
  const bundle = {
    database: { ready: true, reason: null } as DatabaseState,
    redis: { outage: null } as Bundle['redis'],
    clocks: null as string | null,
  };
  const module = await Test.createTestingModule({
    imports: [DiscoveryModule, TerminusModule.forRoot({ logger: false })],
    providers: [
      Lifecycle,
      ReadinessService,
      DatabaseIndicator,
      RedisIndicator,
      ...more,
      { provide: Clock, useClass: HandClock },
      { provide: DatabaseBootstrap, useValue: { state: () => bundle.database, clocksApart: () => bundle.clocks } },
      { provide: LiveStateHealth, useValue: { kind: 'redis', outage: () => bundle.redis.outage } },
    ],
  }).compile();
  return Object.assign(bundle, {
    readiness: module.get(ReadinessService),
    lifecycle: module.get(Lifecycle),
    clock: module.get<HandClock>(Clock),
  });
}

@ReadinessIndicator({ name: 'down', decides: false })
class Down {
  check = (state: IndicatorState) => state.down({ reason: 'no provider' });
}
@ReadinessIndicator({ name: 'throws', decides: false })
class Throws {
  check = (): never => {
    throw new Error('secret');
  };
}
@ReadinessIndicator({ name: 'rejects', decides: false })
class Rejects {
  check = (): Promise<never> => Promise.reject(new Error('secret'));
}
@ReadinessIndicator({ name: 'silent', decides: false })
class Silent {
  check = (): Promise<never> => new Promise(() => undefined);
}
@ReadinessIndicator({ name: 'impaired', decides: false })
class Impaired {
  check = (state: IndicatorState) => state.degraded({ of: 3 });
}
@ReadinessIndicator({ name: 'deciding', decides: true })
class Deciding {
  check = (): Promise<never> => new Promise(() => undefined);
}

describe('readiness', () => {
  it('is ok when PostgreSQL and Redis answer', async () => {
    const { readiness } = await setup();
    const up = { database: { status: 'up' }, redis: { status: 'up', kind: 'redis' } };
    expect(await readiness.check()).toEqual({ status: 'ok', info: up, error: {}, details: up });
  });

  it('tells a clock of the database that is off, and stays ready', async () => {
    const bundle = await setup();
    bundle.clocks = 'the clocks are apart';
    expect(await bundle.readiness.check()).toMatchObject({
      status: 'ok',
      info: { database: { status: 'up', reason: 'the clocks are apart' } },
    });
  });

  it('ends with the database', async () => {
    const bundle = await setup();
    bundle.database = { ready: false, reason: 'it refuses connections' };
    expect(await bundle.readiness.check()).toMatchObject({
      status: 'error',
      error: { database: { status: 'down', reason: 'it refuses connections' } },
    });
  });

  it('survives Redis for 10 seconds, if it was there before', async () => {
    const bundle = await setup();
    await bundle.readiness.check();
    bundle.redis.outage = { sinceMs: 0, reason: 'gone' };
    bundle.clock.ms = 9_999;
    expect(await bundle.readiness.check()).toMatchObject({
      status: 'ok',
      info: { redis: { status: 'up', reason: 'gone' } },
    });
    bundle.clock.ms = 10_000;
    expect(await bundle.readiness.check()).toMatchObject({
      status: 'error',
      error: { redis: { status: 'down', reason: 'gone' } },
    });

    const other = await setup();
    other.redis.outage = { sinceMs: 0, reason: 'never there' };
    expect(await other.readiness.check()).toMatchObject({
      status: 'error',
      error: { redis: { reason: 'never there' } },
    });
  });

  it('ends while the process does', async () => {
    const { readiness, lifecycle } = await setup();
    lifecycle.beginDrain();
    expect(await readiness.check()).toMatchObject({
      status: 'shutting_down',
      error: { process: { reason: 'draining' } },
    });
  });

  it('reports what does not decide, also when it fails, throws or is silent', async () => {
    const { readiness } = await setup(Down, Throws, Rejects, Silent, Impaired);
    const result = await readiness.check();
    expect(result.status).toBe('ok');
    expect(result.error).toEqual({});
    expect(result.details).toMatchObject({
      down: { status: 'down', reason: 'no provider' },
      throws: { status: 'down' },
      rejects: { status: 'down' },
      silent: { status: 'down', reason: 'it does not answer' },
      impaired: { status: 'degraded', of: 3 },
    });
    expect(JSON.stringify(result)).not.toContain('secret');
  });

  it('ends with a deciding indicator that is silent', async () => {
    const { readiness } = await setup(Deciding);
    expect((await readiness.check()).status).toBe('error');
  });
});
