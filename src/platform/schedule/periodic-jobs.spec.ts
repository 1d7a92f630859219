import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { AppConfig, ConfigModule } from '../../config/index.js';
import { onScheduler, Periodic } from './periodic.js';
import { PeriodicJobs } from './periodic-jobs.js';
import { PeriodicJobsModule } from './periodic-jobs.module.js';

let module: TestingModule;
afterEach(() => module?.close());

/** Boots the jobs of `provider` as a process with `roles` does. */
async function boot<T>(provider: new () => T, roles = 'api,worker,scheduler'): Promise<T> {
  module = await Test.createTestingModule({
    imports: [ConfigModule.with(AppConfig.from({ ROLES: roles })), PeriodicJobsModule],
    providers: [provider],
  }).compile();
  await module.init();
  await module.get(PeriodicJobs, { strict: false }).start();
  return module.get(provider);
}

/** Resolves when `tell` was called for the `count`th time. */
function bell(count: number): { rung: Promise<void>; tell: () => number } {
  let rings = 0;
  let done = (): void => undefined;
  const rung = new Promise<void>((resolve) => (done = resolve));
  return {
    rung,
    tell: () => {
      rings += 1;
      if (rings === count) done();
      return rings;
    },
  };
}

describe('periodic jobs', () => {
  it('are the methods that carry the decorator, with their own `this`, again and again', async () => {
    const { rung, tell } = bell(3);
    class Worker {
      runs = 0;
      @Periodic('work', () => 1)
      async work(): Promise<void> {
        this.runs += 1;
        tell();
      }
    }
    const worker = await boot(Worker);
    await rung;
    expect(worker.runs).toBeGreaterThanOrEqual(3);
  });

  it('never overlap themselves, and the end waits for those under way', async () => {
    const begun = bell(1);
    const other = bell(20);
    let release = (): void => undefined;
    let count = 0;
    let ended = false;
    class Worker {
      @Periodic('slow', () => 1)
      async slow(): Promise<void> {
        count += 1;
        begun.tell();
        await new Promise<void>((resolve) => (release = resolve));
        ended = true;
      }
      @Periodic('quick', () => 1)
      async quick(): Promise<void> {
        other.tell();
      }
    }
    await boot(Worker);
    await Promise.all([begun.rung, other.rung]);
    expect(count).toBe(1);
    const closing = module.close();
    release();
    await closing;
    expect(ended).toBe(true);
  });

  it('run in the processes that their pause is for', async () => {
    const { rung, tell } = bell(5);
    let elsewhere = 0;
    class Worker {
      @Periodic('scheduled', onScheduler(() => 1))
      async scheduled(): Promise<void> {
        elsewhere += 1;
      }
      @Periodic('everywhere', () => 1)
      async everywhere(): Promise<void> {
        tell();
      }
    }
    await boot(Worker, 'api,worker');
    await rung;
    expect(elsewhere).toBe(0);
  });

  it('go on after a failure, which is told once until it is over', async () => {
    const { rung, tell } = bell(6);
    const said: string[] = [];
    for (const level of ['log', 'warn'] as const)
      jest.spyOn(Logger.prototype, level).mockImplementation((message: unknown) => void said.push(String(message)));
    class Worker {
      @Periodic('frail', () => 1)
      async frail(): Promise<void> {
        if (tell() < 5) throw new Error('away');
      }
    }
    await boot(Worker);
    await rung;
    expect(said.filter((line) => line.startsWith('frail'))).toEqual([
      'frail failed and will run again: away',
      'frail works again',
    ]);
    jest.restoreAllMocks();
  });

  it('are refused when two have one name', async () => {
    class Worker {
      @Periodic('same', () => 60_000)
      async one(): Promise<void> {}
      @Periodic('same', () => 60_000)
      async other(): Promise<void> {}
    }
    await expect(boot(Worker)).rejects.toThrow('same');
  });
});
