import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { SharedState } from '../../../src/platform/redis/index.js';
import { eventually } from '../../support/eventually.js';

/** What the contract needs of an adapter. */
export interface Store {
  /** A client in use; where the store is one process, always the same. */
  connect(): Promise<SharedState>;
  /** Empties the store behind the clients' backs. */
  wipe(): Promise<void>;
  /** Breaks every connection, empties the store, and resolves when `clients` work again, without their help. */
  interrupt(clients: readonly SharedState[]): Promise<void>;
  close(): Promise<void>;
}

const LONG_MS = 30_000;
const never = new AbortController().signal;

/** The promises of `ports.ts`, run against each adapter. */
export function describeSharedState(name: string, open: () => Promise<Store>): void {
  describe(`shared state ${name}`, () => {
    let store: Store;
    let one: SharedState;
    let two: SharedState;
    beforeAll(async () => {
      store = await open();
      [one, two] = await Promise.all([store.connect(), store.connect()]);
    });
    beforeEach(() => store.wipe());
    afterAll(() => store.close());

    describe('bell', () => {
      it('wakes a waiter of any client', async () => {
        const waiting = two.bell.wait(LONG_MS, never);
        await one.bell.ring([randomUUID()]);
        expect(await waiting).toBe(true);
      });

      it('counts rings that came before the wait', async () => {
        await one.bell.ring([randomUUID(), randomUUID()]);
        expect(await two.bell.wait(LONG_MS, never)).toBe(true);
        expect(await two.bell.wait(LONG_MS, never)).toBe(true);
      });

      it('wakes as many waiters as there are ids', async () => {
        const ended = new AbortController();
        const waits = [1, 2, 3].map(() => one.bell.wait(LONG_MS, ended.signal));
        await one.bell.ring([randomUUID(), randomUUID()]);
        expect(await Promise.all(waits.slice(0, 2))).toEqual([true, true]);
        ended.abort();
        expect(await waits[2]).toBe(false);
      });

      it('gives up after its time', async () => {
        expect(await one.bell.wait(20, never)).toBe(false);
        expect(await one.bell.wait(0, never)).toBe(false);
      });

      it('gives up when told to, before and while waiting', async () => {
        const ended = new AbortController();
        const waiting = one.bell.wait(LONG_MS, ended.signal);
        ended.abort();
        expect(await waiting).toBe(false);
        expect(await one.bell.wait(LONG_MS, ended.signal)).toBe(false);
      });

      it('does not swallow a ring for a client that stopped waiting', async () => {
        const ended = new AbortController();
        const left = one.bell.wait(LONG_MS, ended.signal);
        ended.abort();
        await left;
        await two.bell.ring([randomUUID()]);
        expect(await two.bell.wait(LONG_MS, never)).toBe(true);
      });

      it('forgets the rings of a backlog within a few hearings', async () => {
        await one.bell.ring(Array.from({ length: 12_000 }, () => randomUUID()));
        let heard = 0;
        while (await one.bell.wait(300, never)) heard += 1;
        expect(heard).toBeGreaterThan(0);
        expect(heard).toBeLessThanOrEqual(20);
      });

      it('takes no ring from what is no id', async () => {
        await one.bell.ring(['', 'a b', 'x'.repeat(10_000)]);
        expect(await one.bell.wait(50, never)).toBe(false);
      });
    });

    describe('bus', () => {
      it('reaches the listeners of every client, each message once and in order', async () => {
        const heard: unknown[][] = [[], []];
        const channel = randomUUID();
        const leave = [one, two].map(({ bus }, i) => bus.subscribe(channel, (message) => heard[i]?.push(message)));
        await eventually('both listen', () => one.bus.connected && two.bus.connected);
        const messages = [{ a: [1, null, 'ä\u0000'] }, 'two', 3, null];
        for (const message of messages) await one.bus.publish(channel, message);
        await eventually('the last one arrived', () => heard.every((list) => list.length >= messages.length));
        await one.bus.publish(channel, 'end');
        await eventually('the end arrived', () => heard.every((list) => list.at(-1) === 'end'));
        const expected = [...messages, 'end'];
        if (one === two) expect(heard).toEqual([expected, expected]);
        else expect(heard.map((list) => list.length)).toEqual([expected.length, expected.length]);
        expect(heard.every((list) => isDeepStrictEqual(list, expected))).toBe(true);
        leave.forEach((remove) => remove());
      });

      it('tells a listener when messages begin to arrive', async () => {
        const live: string[] = [];
        const channel = randomUUID();
        const first = two.bus.subscribe(
          channel,
          () => undefined,
          () => live.push('first'),
        );
        await eventually('the first is live', () => live.length === 1);
        const second = two.bus.subscribe(
          channel,
          () => undefined,
          () => live.push('second'),
        );
        await eventually('the second is live', () => live.length === 2);
        expect(live).toEqual(['first', 'second']);
        first();
        second();
      });

      it('stops at once for a listener that left, and goes on for one that came back', async () => {
        const channel = randomUUID();
        const heard: string[] = [];
        two.bus.subscribe(channel, () => heard.push('left'))();
        const leave = two.bus.subscribe(channel, () => heard.push('back'));
        await eventually('it listens', () => two.bus.connected);
        await one.bus.publish(channel, 1);
        await eventually('it arrived', () => heard.length > 0);
        expect(heard).toEqual(['back']);
        leave();
        expect(two.bus.connected).toBe(true);
      });

      it('drops what is too long and survives listeners that throw', async () => {
        const channel = randomUUID();
        const heard: unknown[] = [];
        const leave = [
          two.bus.subscribe(channel, () => {
            throw new Error('listener');
          }),
          two.bus.subscribe(channel, () => Promise.reject(new Error('async listener')) as unknown as void),
          two.bus.subscribe(channel, (message) => heard.push(message)),
        ];
        await eventually('it listens', () => two.bus.connected);
        await one.bus.publish(channel, 'x'.repeat(2 ** 20));
        await one.bus.publish(channel, 'short');
        await eventually('the short one arrived', () => heard.length > 0);
        expect(heard).toEqual(['short']);
        leave.forEach((remove) => remove());
      });
    });

    describe('values', () => {
      it('are seen by every client until they expire', async () => {
        expect(await two.live.get('key')).toBeNull();
        await one.live.set('key', 'value', 60_000);
        expect(await two.live.get('key')).toBe('value');
        await one.live.set('key', 'short', 50);
        await eventually('it expired', async () => (await two.live.get('key')) === null);
      });

      it('take any time to live', async () => {
        for (const ttl of [0.3, 1e300, Infinity]) await one.live.set(`ttl:${ttl}`, 'value', ttl);
        await eventually('the short one expired', async () => (await one.live.get('ttl:0.3')) === null);
        expect(await one.live.get('ttl:Infinity')).toBe('value');
      });

      it('go only when who releases them knows them', async () => {
        await one.live.set('key', 'value', 60_000);
        await two.live.release('key', 'another');
        expect(await one.live.get('key')).toBe('value');
        await two.live.release('key', 'value');
        expect(await one.live.get('key')).toBeNull();
      });
    });

    describe('agents', () => {
      it('are read back as they were put', async () => {
        const record = { config: { name: 'ä', tools: null }, n: 1 };
        await one.agents.put('a', record);
        expect(await two.agents.get('a')).toEqual(record);
        await two.agents.remove('a');
        expect(await one.agents.get('a')).toBeNull();
      });

      it('are all there only once someone said so', async () => {
        await one.agents.put('a', 1);
        expect(await two.agents.all()).toBeNull();
        await one.agents.markComplete(['a']);
        await two.agents.put('b', 2);
        expect(await one.agents.all()).toEqual(new Map([['a', 1], ['b', 2]])); // prettier-ignore
        await one.agents.remove('a');
        expect(await two.agents.all()).toEqual(new Map([['b', 2]]));
      });

      it('may be none', async () => {
        await one.agents.markComplete([]);
        expect(await two.agents.all()).toEqual(new Map());
        await one.agents.put('a', 1);
        expect(await two.agents.all()).toEqual(new Map([['a', 1]]));
      });

      it('are unknown after a wipe until they were put again', async () => {
        await one.agents.put('a', 1);
        await one.agents.markComplete(['a']);
        await store.wipe();
        expect(await one.agents.get('a')).toBeNull();
        expect(await one.agents.all()).toBeNull();
        await one.agents.put('b', 2);
        expect(await one.agents.all()).toBeNull();
        await one.agents.put('a', 1);
        await one.agents.markComplete(['a', 'b']);
        expect((await two.agents.all())?.size).toBe(2);
      });

      it('are not complete when a wipe came in the middle of a rebuild', async () => {
        await one.agents.put('a', 1);
        await store.wipe();
        await one.agents.put('b', 2);
        await one.agents.markComplete(['a', 'b']);
        expect(await one.agents.all()).toBeNull();
        await store.wipe();
        await one.agents.markComplete(['a', 'b']);
        expect(await one.agents.all()).toBeNull();
      });
    });

    describe('rate limits', () => {
      it('are shared, exact under concurrency, and refuse without extending the window', async () => {
        const takes = await Promise.all(
          Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? one : two).limiter.take('key', 5, 60)),
        );
        expect(takes.filter(({ allowed }) => allowed)).toHaveLength(5);
        expect(takes.every(({ limit }) => limit === 5)).toBe(true);
        expect(new Set(takes.filter(({ allowed }) => allowed).map(({ remaining }) => remaining))).toEqual(
          new Set([0, 1, 2, 3, 4]),
        );
        const last = await one.limiter.take('key', 5, 60);
        expect(last).toMatchObject({ allowed: false, remaining: 0 });
        expect(last.resetSeconds).toBeGreaterThan(0);
        expect(last.resetSeconds).toBeLessThanOrEqual(60);
      });

      it('count each key and each window apart, and follow a changed limit at once', async () => {
        expect((await one.limiter.take('a', 1, 60)).allowed).toBe(true);
        expect((await one.limiter.take('a', 1, 3_600)).allowed).toBe(true);
        expect((await one.limiter.take('b', 1, 60)).allowed).toBe(true);
        expect((await one.limiter.take('a', 1, 60)).allowed).toBe(false);
        expect(await one.limiter.take('a', 4, 60)).toMatchObject({ allowed: true, remaining: 1 });
        expect((await one.limiter.take('a', 0, 60)).allowed).toBe(false);
      });

      it('begin anew with the next window', async () => {
        await one.limiter.take('key', 1, 3);
        expect((await one.limiter.take('key', 1, 3)).allowed).toBe(false);
        await eventually('the window is over', async () => (await two.limiter.take('key', 1, 3)).allowed);
        expect((await two.limiter.take('key', 1, 3)).allowed).toBe(false);
      });
    });

    it('recovers by itself from an interruption', async () => {
      const channel = randomUUID();
      const heard: unknown[] = [];
      const live: number[] = [];
      const leave = two.bus.subscribe(channel, (message) => heard.push(message), () => live.push(heard.length)); // prettier-ignore
      await eventually('it listens', () => two.bus.connected && live.length > 0);
      await one.live.set('key', 'value', 60_000);
      const waiting = two.bell.wait(60_000, never);

      await store.interrupt([one, two]);

      expect(await two.live.get('key')).toBeNull();
      await one.live.set('key', 'again', 60_000);
      expect(await two.live.get('key')).toBe('again');
      await eventually('a message arrives', async () => {
        await one.bus.publish(channel, 'after');
        return heard.includes('after');
      });
      await one.bell.ring([randomUUID()]);
      expect(await waiting).toBe(true);
      await one.agents.put('a', 1);
      await one.agents.markComplete(['a']);
      expect(await two.agents.all()).toEqual(new Map([['a', 1]]));
      expect((await two.limiter.take('key', 1, 60)).allowed).toBe(true);
      expect(two.health.outage()).toBeNull();
      leave();
    });
  });
}
