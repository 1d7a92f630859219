import { expect, it } from '@jest/globals';
import { SharedUse } from './shared-use.js';

/** Work that ends when it is told to, and what has begun and ended so far. */
function works(): { log: string[]; work: (name: string) => () => Promise<string>; end: (name: string) => void } {
  const log: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    log,
    work: (name) => async () => {
      log.push(`${name} begins`);
      await new Promise<void>((resolve) => ends.set(name, resolve));
      log.push(`${name} ends`);
      if (name.startsWith('bad')) throw new Error(name);
      return name;
    },
    end: (name) => ends.get(name)?.(),
  };
}

const turn = (): Promise<void> => new Promise(setImmediate);

it('runs work together, and alone only when nothing else runs, also after a failure', async () => {
  const use = new SharedUse();
  const { log, work, end } = works();
  const all = Promise.allSettled([
    use.together(work('a')),
    use.together(work('bad b')),
    use.alone(work('bad c')),
    use.together(work('d')),
    use.alone(work('e')),
    use.together(work('f')),
  ]);
  const told: string[][] = [];
  for (const name of ['', 'a', 'bad b', 'bad c', 'd', 'e', 'f']) {
    end(name);
    await turn();
    told.push(log.splice(0));
  }
  expect(told).toEqual([
    ['a begins', 'bad b begins'],
    ['a ends'],
    ['bad b ends', 'bad c begins'],
    ['bad c ends', 'd begins'],
    ['d ends', 'e begins'],
    ['e ends', 'f begins'],
    ['f ends'],
  ]);
  expect((await all).map(({ status }) => status === 'fulfilled')).toEqual([true, false, false, true, true, true]);
});
