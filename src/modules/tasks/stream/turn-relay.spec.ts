import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { Clock } from '../../../platform/clock/index.js';
import { EventBus } from '../../../platform/redis/index.js';
import { TurnLog } from './turn-log.js';
import { TurnRelay } from './turn-relay.js';
import type { TurnRunner } from '../turn-runner.js';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** Carries messages at once. */
class OneBus extends EventBus {
  readonly connected = true;
  private readonly heard = new Map<string, (message: unknown) => void>();
  override async publish(channel: string, message: unknown): Promise<void> {
    this.heard.get(channel)?.(message);
  }
  override subscribe(channel: string, hear: (message: unknown) => void): () => void {
    this.heard.set(channel, hear);
    return () => void this.heard.delete(channel);
  }
}

/** A turn that one process runs, and the relay by which another one reads it. */
function setup(log: TurnLog, checkpoints: boolean[] = []) {
  const turn = {
    log,
    readers: 0,
    read: () => {
      turn.readers += 1;
      return () => void (turn.readers -= 1);
    },
  };
  const runner = { find: () => turn, checkpoint: async () => checkpoints.shift() ?? true } as unknown as TurnRunner;
  return { turn, relay: new TurnRelay(new Clock(), new OneBus(), runner) };
}

it('a reader elsewhere that passes nothing on is counted as long as it is there', async () => {
  const log = new TurnLog();
  const { turn, relay } = setup(log);
  const remote = relay.open('turn', 0);
  for (let second = 0; second < 60; second += 1) {
    log.say('more than it takes');
    await jest.advanceTimersByTimeAsync(1_000);
    expect(turn.readers).toBe(1);
  }
  remote.close();
  await jest.advanceTimersByTimeAsync(0);
  expect(turn.readers).toBe(0);
});

it('a reader elsewhere whose words could not be stored asks until they are', async () => {
  const log = new TurnLog(1_000);
  for (let n = 0; n < 100; n += 1) log.say('no longer kept');
  const failing = [false, false, true];
  const { relay } = setup(log, failing);
  const remote = relay.open('turn', 0);
  const next = remote.next(0, 600_000, new AbortController().signal);
  await jest.advanceTimersByTimeAsync(10_000);
  expect([await next, failing]).toEqual([null, []]);
  remote.close();
});
