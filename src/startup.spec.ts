import { describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';
import { Clock } from './platform/clock/index.js';
import { SingleProcessError } from './platform/database/index.js';
import { HealthIndicators, Lifecycle, type IndicatorReport } from './platform/health/index.js';
import { Startup, type StartStep } from './startup.js';

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

function setup(): { startup: Startup; lifecycle: Lifecycle; clock: HandClock; report: () => IndicatorReport } {
  Logger.overrideLogger(false);
  const [lifecycle, clock, indicators] = [new Lifecycle(), new HandClock(), new HealthIndicators()];
  const startup = new Startup({} as ModuleRef, lifecycle, clock, indicators);
  return { startup, lifecycle, clock, report: () => indicators.all()[0]?.report() as IndicatorReport };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const step = (name: string, run: StartStep['run']): StartStep => ({ name, run });

describe('the start', () => {
  it('takes its steps in order and tells which one it is at', async () => {
    const { startup, report } = setup();
    const seen: [string, unknown][] = [];
    const note = (name: string): StartStep => step(name, async () => void seen.push([name, report().reason]));
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
    const ending = step('ending', async (_modules, signal) => {
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
});
