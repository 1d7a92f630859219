import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DONE, followKept, followLog, RESET, TurnLog, type TurnEvent, type TextPieces } from './turn-log.js';

const NEVER = new AbortController().signal;
const NOT_STORED = (): never => {
  throw new Error('nothing was let go');
};

/** Reads a log that is about to end; `end` is called once its reader waits for more, or has begun. */
async function collect(log: TurnLog, id: number, end: () => void): Promise<TurnEvent[]> {
  const events: TurnEvent[] = [];
  setImmediate(end);
  for await (const told of followLog(log, id, NEVER, NOT_STORED)) {
    if (Array.isArray(told)) events.push(...told);
    else events.push({ id: told.id, payload: JSON.stringify({ t: await textOf(told) }) });
  }
  return events;
}

async function textOf({ pieces }: TextPieces): Promise<string> {
  let text = '';
  for await (const piece of pieces)
    text += typeof piece === 'string' ? piece : (JSON.parse(`"${piece.toString()}"`) as string);
  return text;
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
    log.say('');
    log.say('a');
    expect(log.restart(NOT_STORED)?.id).toBe(2);
    log.end('why');
    log.end(null);
    log.say('late');
    expect(log.after(0)).toEqual([
      { id: 1, payload: '{"status":{"step":"model","state":"running"}}' },
      { id: 2, payload: '{"t":"a"}' },
      { id: 3, payload: '{"error":"why"}' },
      { id: 4, payload: DONE },
    ]);
    expect(log.textId).toBe(2);
    expect(log.restart(NOT_STORED)).toBeNull();
    expect(log.after(4)).toEqual([]);
    expect(log.after(5)).toBeNull();
  });

  it('gives every reader the same words, wherever it goes on and whatever is no longer kept', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.string({ minLength: 1, maxLength: 300 }), fc.constant(null)), { maxLength: 60 }),
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
          const events = await collect(log, id, () => log.end(failed ? 'why' : null));
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
      for await (const told of followKept(log, 0, signal)) got.push(...told.map(({ id }) => id));
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
    expect(log.textFrom(0)).toHaveLength(255_000);
  });

  it('gives a reader a little at a time, and long words in parts, without cutting a character', () => {
    const log = new TurnLog();
    const text = `a${'😀'.repeat(100_000)}`;
    log.say(text);
    const events: TurnEvent[] = [];
    for (let at = 0; at < log.lastId; at = events.at(-1)?.id ?? Infinity) {
      const some = log.after(at) ?? [];
      expect(some.reduce((sum, { payload }) => sum + payload.length, 0)).toBeLessThan(80_000);
      events.push(...some);
    }
    expect(events.length).toBeGreaterThan(20);
    expect(events.every(({ payload }) => payload.isWellFormed())).toBe(true);
    expect(wordsOf(events)).toBe(text);
  });

  it('sends readers who come too late to what is stored', async () => {
    const log = new TurnLog(1_000);
    for (let n = 0; n < 100; n += 1) log.say('x'.repeat(50));
    log.end(null);
    const late = followLog(log, 3, NEVER, NOT_STORED);
    expect(await late.next()).toEqual({ done: true, value: 3 });
    const recent = followLog(log, log.lastId - 2, NEVER, NOT_STORED);
    expect((await recent.next()).value).toHaveLength(2);
    expect(await recent.next()).toEqual({ done: true, value: null });
  });

  it('has a reader who cannot begin again end where its next event is gone', async () => {
    const log = new TurnLog(1_000);
    for (let n = 0; n < 100; n += 1) log.say('x'.repeat(50));
    expect(await followKept(log, 3, NEVER).next()).toEqual({ done: true, value: 3 });
  });

  it('lets go of the words at its end, whoever is reading them', async () => {
    const log = new TurnLog(1_000);
    for (let n = 0; n < 3; n += 1) log.say('x'.repeat(9_000));
    const reader = followLog(log, 0, NEVER, async function* (from, to) {
      yield `${from}-${to}`;
    });
    await reader.next();
    const { pieces } = (await reader.next()).value as TextPieces;
    const got: string[] = [];
    for await (const piece of pieces) {
      got.push(piece.toString());
      log.end(null);
    }
    expect(got).toEqual(['x'.repeat(8_192), '8192-27000']);
  });

  it('frees what it no longer keeps', () => {
    const log = new TurnLog(1_000);
    for (let n = 0; n < 500; n += 1) log.say('x'.repeat(500));
    expect((log as unknown as { events: Map<number, TurnEvent> }).events.size).toBeLessThan(5);
  });
});
