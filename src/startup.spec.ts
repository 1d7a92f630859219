import { describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { DiscoveryModule, type DiscoveryService } from '@nestjs/core';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { Test } from '@nestjs/testing';
import { Clock } from './platform/clock/index.js';
import { SingleProcessError } from './platform/database/index.js';
import { Lifecycle } from './platform/health/index.js';
import { StartStep } from './platform/startup/index.js';
import { Startup, type StartMethod } from './startup.js';

/** A clock whose pauses end when the test says so. */
class HandClock extends Clock {
  readonly pauses: { ms: number; end: () => void }[] = [];
  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.pauses.push({ ms, end: resolve });
      signal?.addEventListener('abort', () => resolve());
    });
  }
}

function setup(): {
  startup: Startup;
  lifecycle: Lifecycle;
  clock: HandClock;
  report: () => HealthIndicatorResult['startup'] | undefined;
} {
  Logger.overrideLogger(false);
  const [lifecycle, clock] = [new Lifecycle(), new HandClock()];
  const startup = new Startup({} as DiscoveryService, lifecycle, clock);
  return { startup, lifecycle, clock, report: () => reportOf(startup) };
}

function reportOf(startup: Startup): HealthIndicatorResult['startup'] | undefined {
  return startup.check(new HealthIndicatorService().check('startup'))['startup'];
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const step = (name: string, run: StartMethod['run']): StartMethod => ({ step: name, name, run });

describe('the start', () => {
  it('takes its steps in order and tells which one it is at', async () => {
    const { startup, report } = setup();
    const seen: [string, unknown][] = [];
    const note = (name: string): StartMethod => step(name, async () => void seen.push([name, report()?.['reason']]));
    await startup.run([note('one'), note('two')]);
    expect(seen).toEqual([
      ['one', 'the start is at the step one'],
      ['two', 'the start is at the step two'],
    ]);
    expect(report()).toEqual({ status: 'up' });
  });

  it('is held up by no step that fails, and tries it again with growing pauses', async () => {
    const { startup, clock, report } = setup();
    let failures = 6;
    const done: string[] = [];
    const weak = step('weak', async () => {
      failures -= 1;
      if (failures >= 0) throw new Error('not yet');
      done.push('weak');
    });
    await startup.run([weak, step('strong', async () => void done.push('strong'))]);
    expect(done).toEqual(['strong']);
    expect(report()).toEqual({ status: 'degraded', reason: 'weak has failed and is tried again' });
    for (let attempt = 0; attempt < 6; attempt += 1) {
      clock.pauses[attempt]?.end();
      await turn();
    }
    expect(clock.pauses.map(({ ms }) => ms)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000]);
    expect(done).toEqual(['strong', 'weak']);
    expect(report()).toEqual({ status: 'up' });
  });

  it('stops where the process is told to end', async () => {
    const { startup, lifecycle, clock } = setup();
    const done: string[] = [];
    const weak = step('weak', async () => {
      done.push('weak');
      throw new Error('no');
    });
    const ending = step('ending', async (signal) => {
      lifecycle.beginDrain();
      signal.throwIfAborted();
    });
    await startup.run([weak, ending, step('never', async () => void done.push('never'))]);
    clock.pauses.forEach(({ end }) => end());
    await turn();
    expect(done).toEqual(['weak']);
  });

  it('gives up when another process has its place', async () => {
    const { startup } = setup();
    const taken = step('database', async () => {
      throw new SingleProcessError();
    });
    await expect(startup.run([taken, step('never', async () => expect(true).toBe(false))])).rejects.toThrow(
      SingleProcessError,
    );
  });

  it('is made of the methods that carry its decorator, in the order of its steps, each tried alone', async () => {
    const done: string[] = [];
    class Late {
      @StartStep('background-tasks')
      async begin(): Promise<void> {
        done.push('background-tasks');
      }
      @StartStep('recover-agents')
      async recover(): Promise<void> {
        throw new Error('not yet');
      }
      async nothing(): Promise<void> {
        done.push('never');
      }
    }
    class Early extends Late {
      private readonly name = 'early';
      @StartStep('database')
      override async begin(signal?: AbortSignal): Promise<void> {
        done.push(`${this.name} ${String(signal?.aborted)}`);
      }
      @StartStep('recover-agents')
      override async recover(): Promise<void> {
        done.push('recovered');
      }
    }
    const module = await Test.createTestingModule({
      imports: [DiscoveryModule],
      providers: [
        Startup,
        Late,
        Early,
        { provide: 'alias', useExisting: Early },
        { provide: 'text', useValue: 'no object' },
        Lifecycle,
        { provide: Clock, useClass: HandClock },
      ],
    }).compile();
    await module.get(Startup).run();
    expect(done).toEqual(['early false', 'recovered', 'background-tasks']);
    expect(reportOf(module.get(Startup))).toEqual({
      status: 'degraded',
      reason: 'recover-agents has failed and is tried again',
    });
    module.get(Lifecycle).beginDrain();
  });
});
