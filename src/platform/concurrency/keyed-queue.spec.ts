import { AsyncLocalStorage } from 'node:async_hooks';
import { expect, it } from '@jest/globals';
import { KeyedQueue } from './keyed-queue.js';

it('runs the work of one key in order, one at a time, also after a failure', async () => {
  const queue = new KeyedQueue();
  const log: string[] = [];
  const work =
    (name: string, fails = false) =>
    async (): Promise<string> => {
      log.push(`${name} begins`);
      await new Promise(setImmediate);
      log.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    };
  const results = await Promise.allSettled([
    queue.take('key', work('a')),
    queue.take('key', work('b', true)),
    queue.take('key', work('c')),
  ]);
  expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  expect(results).toEqual([
    { status: 'fulfilled', value: 'a' },
    { status: 'rejected', reason: new Error('b') },
    { status: 'fulfilled', value: 'c' },
  ]);
});

it('lets other keys go on, and keeps no key that has nothing to do', async () => {
  const queue = new KeyedQueue();
  let release = (): void => undefined;
  const held = queue.take('slow', () => new Promise<void>((resolve) => (release = resolve)));
  expect(await queue.take('quick', async () => 'done')).toBe('done');
  expect(queue.busyKeys).toBe(1);
  release();
  await held;
  expect(queue.busyKeys).toBe(0);
});

it('runs work in the context of whom it is for', async () => {
  const queue = new KeyedQueue();
  const context = new AsyncLocalStorage<string>();
  const found = await Promise.all(
    ['a', 'b', 'c'].map((name) =>
      context.run(name, () =>
        queue.take('key', async () => {
          await new Promise(setImmediate);
          return context.getStore();
        }),
      ),
    ),
  );
  expect(found).toEqual(['a', 'b', 'c']);
});
