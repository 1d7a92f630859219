import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DONE, followLog, RESET, TurnLog, type TurnEvent } from './turn-log.js';

const NEVER = new AbortController().signal;

async function collect(log: TurnLog, id: number): Promise<TurnEvent[]> {
  const events: TurnEvent[] = [];
  for await (const batch of followLog(log, id, NEVER)) events.push(...batch);
  return events;
}

function wordsOf(events: readonly TurnEvent[]): string {
  return events
    .filter(({ payload }) => payload !== DONE)
    .map(({ payload }) => (JSON.parse(payload) as { t?: string }).t ?? '')
    .join('');
}

describe('the log of a turn', () => {
  it('numbers what it is told, and ends once', () => {
    const log = new TurnLog();
    log.status({ step: 'model', state: 'running' });
    log.say('a');
    log.end('why');
    log.end(null);
    log.say('late');
    expect(log.after(0)).toEqual([
      { id: 1, payload: '{"status":{"step":"model","state":"running"}}' },
      { id: 2, payload: '{"t":"a"}' },
      { id: 3, payload: '{"error":"why"}' },
      { id: 4, payload: DONE },
    ]);
    expect(log.snapshot()).toEqual({ id: 2, text: 'a' });
    expect(log.after(4)).toEqual([]);
    expect(log.after(5)).toBeNull();
  });

  it('gives every reader the same words, wherever it goes on and whatever is no longer kept', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.string({ maxLength: 300 }), fc.constant(null)), { maxLength: 60 }),
        fc.nat({ max: 70 }),
        fc.integer({ min: 1, max: 4_000 }),
        fc.boolean(),
        async (told, id, mostKept, failed) => {
          const log = new TurnLog(mostKept);
          const before: string[] = [''];
          for (const text of told) {
            if (text === null) log.status({});
            else log.say(text);
            before.push((before.at(-1) ?? '') + (text ?? ''));
          }
          log.end(failed ? 'why' : null);
          const events = await collect(log, id);
          const isRestart = events[0] === RESET;
          const had = isRestart ? '' : (before[Math.min(id, told.length)] ?? '');
          expect(had + wordsOf(events)).toBe(told.map((text) => text ?? '').join(''));
          const ids = events.slice(isRestart ? 1 : 0).map((event) => event.id);
          expect(ids).toEqual(ids.map((_, index) => (ids[0] ?? 0) + index));
          if (id !== log.lastId) expect(events.at(-1)).toEqual({ id: log.lastId, payload: DONE });
          if (!isRestart && ids.length > 0) expect(ids[0]).toBe(id + 1);
        },
      ),
    );
  });

  it('wakes its readers as it is told, and lets go of those who leave', async () => {
    const log = new TurnLog();
    const got: number[] = [];
    const leaving = new AbortController();
    const read = async (signal: AbortSignal): Promise<void> => {
      for await (const events of followLog(log, 0, signal)) got.push(...events.map(({ id }) => id));
    };
    const [left, stays] = [read(leaving.signal), read(NEVER)];
    leaving.abort();
    await left;
    log.say('a');
    log.end(null);
    await stays;
    expect(got).toEqual([1, 2]);
  });

  it('keeps no more than it may, and the newest in any case', () => {
    const log = new TurnLog(1_000);
    for (let n = 0; n < 5_000; n += 1) log.say('x'.repeat(50));
    expect(log.size).toBeLessThanOrEqual(1_000);
    log.say('y'.repeat(5_000));
    expect(log.after(log.lastId - 1)).toHaveLength(1);
    expect(log.after(0)).toBeNull();
    expect(log.text).toHaveLength(255_000);
  });
});
