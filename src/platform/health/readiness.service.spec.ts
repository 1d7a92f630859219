import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { TerminusModule } from '@nestjs/terminus';
import { Clock } from '../clock/index.js';
import { DatabaseBootstrap, type DatabaseState } from '../database/index.js';
import { LiveStateHealth } from '../redis/index.js';
import { DependencyIndicators } from './dependency-indicators.js';
import { HealthIndicators } from './health-indicators.js';
import { Lifecycle } from './lifecycle.js';
import { ReadinessService } from './readiness.service.js';

class HandClock extends Clock {
  ms = 0;
  override monotonicMs(): number {
    return this.ms;
  }
}

interface Bundle {
  readiness: ReadinessService;
  indicators: HealthIndicators;
  lifecycle: Lifecycle;
  clock: HandClock;
  database: DatabaseState;
  redis: { outage: { sinceMs: number; reason: string } | null };
}

async function setup(): Promise<Bundle> {
  const bundle = {
    database: { ready: true, reason: null } as DatabaseState,
    redis: { outage: null } as Bundle['redis'],
  };
  const module = await Test.createTestingModule({
    imports: [TerminusModule.forRoot({ logger: false })],
    providers: [
      HealthIndicators,
      Lifecycle,
      ReadinessService,
      DependencyIndicators,
      { provide: Clock, useClass: HandClock },
      { provide: DatabaseBootstrap, useValue: { state: () => bundle.database } },
      { provide: LiveStateHealth, useValue: { kind: 'redis', outage: () => bundle.redis.outage } },
    ],
  }).compile();
  return Object.assign(bundle, {
    readiness: module.get(ReadinessService),
    indicators: module.get(HealthIndicators),
    lifecycle: module.get(Lifecycle),
    clock: module.get<HandClock>(Clock),
  });
}

describe('readiness', () => {
  it('is ok when PostgreSQL and Redis answer', async () => {
    const { readiness } = await setup();
    const up = { database: { status: 'up' }, redis: { status: 'up', kind: 'redis' } };
    expect(await readiness.check()).toEqual({ status: 'ok', info: up, error: {}, details: up });
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
    const { readiness, indicators } = await setup();
    indicators.register({ name: 'down', decides: false, report: () => ({ status: 'down', reason: 'no provider' }) });
    indicators.register({
      name: 'throws',
      decides: false,
      report: () => {
        throw new Error('secret');
      },
    });
    indicators.register({ name: 'silent', decides: false, report: () => new Promise(() => undefined) });
    const result = await readiness.check();
    expect(result.status).toBe('ok');
    expect(result.error).toEqual({});
    expect(result.details).toMatchObject({
      down: { status: 'down', reason: 'no provider' },
      throws: { status: 'down' },
      silent: { status: 'down' },
    });
    expect(JSON.stringify(result)).not.toContain('secret');
  });

  it('ends with a deciding indicator that is silent', async () => {
    const { readiness, indicators } = await setup();
    indicators.register({ name: 'silent', decides: true, report: () => new Promise(() => undefined) });
    expect((await readiness.check()).status).toBe('error');
  });
});
