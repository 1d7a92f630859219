import { describe, expect, it } from '@jest/globals';
import { Slots } from './slots.js';

describe('Slots', () => {
  it('lets so many run and the others in turn, and forgets those that give up', async () => {
    const slots = new Slots(2);
    const order: string[] = [];
    const ends: (() => void)[] = [];
    const work = (name: string): (() => Promise<void>) => {
      return () => {
        order.push(name);
        return new Promise((resolve) => ends.push(resolve));
      };
    };
    const signal = new AbortController().signal;
    const abort = new AbortController();
    const running = ['a', 'b', 'c'].map((name) => slots.use('one', signal, work(name)));
    const leaving = slots.use('one', abort.signal, work('never'));
    running.push(slots.use('one', signal, work('d')));
    expect(order).toEqual(['a', 'b']);
    abort.abort(new Error('gone'));
    await expect(leaving).rejects.toThrow('gone');
    for (let index = 0; index < 4; index++) {
      ends[index]?.();
      await new Promise(setImmediate);
    }
    await Promise.all(running);
    expect(order).toEqual(['a', 'b', 'c', 'd']);
  });

  it('gives idle ones to anyone, and the next free one to the owner with the fewest', async () => {
    const slots = new Slots(4);
    const order: string[] = [];
    const ends = new Map<string, () => void>();
    const signal = new AbortController().signal;
    const start = (owner: string, name: string): Promise<void> =>
      slots.use(owner, signal, () => {
        order.push(name);
        return new Promise((resolve) => ends.set(name, resolve));
      });
    const end = async (name: string): Promise<void> => {
      ends.get(name)?.();
      await new Promise(setImmediate);
    };
    const running = ['a1', 'a2', 'a3', 'a4', 'a5', 'a6'].map((name) => start('a', name));
    expect(order).toEqual(['a1', 'a2', 'a3', 'a4']);
    running.push(start('b', 'b1'), start('b', 'b2'), start('c', 'c1'));
    await end('a1');
    expect(order.at(-1)).toBe('b1');
    await end('a2');
    expect(order.at(-1)).toBe('c1');
    // Each holds one: who came first.
    await end('a3');
    expect(order.at(-1)).toBe('a5');
    await end('b1');
    expect(order.at(-1)).toBe('b2');
    for (const name of ['a4', 'a5', 'b2', 'c1', 'a6']) await end(name);
    await Promise.all(running);
    expect(order).toHaveLength(9);
  });
});
