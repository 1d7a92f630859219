import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Free } from '../../../../platform/free-space/index.js';
import type { Taken } from './box-measure.js';
import { BoxWatch, ENDS, type BoundsEnd, type Watched } from './box-watch.js';

const MIB = 1024 * 1024;
const NOTHING: Taken = { memory: 0, processes: 1, sockets: 0, written: 0 };
const BOUNDS = {
  memory: 100 * MIB,
  processes: 10,
  sockets: 10,
  tree: { bytes: 40 * MIB, entries: 100, growth: false },
};

let folder: string;
let now: number;
let free: Free;
let taken: Map<number, Taken | null>;
let ended: number[];
let watch: BoxWatch;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nova-watch-'));
  now = 0;
  free = { bytes: 1000 * MIB, size: 2000 * MIB, used: 0, names: 0, namesLeft: null };
  taken = new Map();
  ended = [];
  watch = new BoxWatch(100 * MIB, {
    measure: (first) => (taken.has(first) ? (taken.get(first) ?? null) : NOTHING),
    space: () => free,
    end: ({ id }) => ended.push(id),
    now: () => now,
  });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function add(id: number, more: Partial<Watched> = {}): () => BoundsEnd | null {
  const slot = new Int32Array(new SharedArrayBuffer(8));
  watch.add({ id, first: { pid: id, startedAt: '1' }, host: false, root: folder, bounds: BOUNDS, slot, ...more });
  return () => ENDS[Number(slot[0]) - 1] ?? null;
}

/** So many looks at disks, with time between them. */
function look(times: number): void {
  for (let n = 0; n < times; n += 1) {
    now += 10;
    watch.lookAtDisks(10);
  }
}

describe('memory, processes and sockets', () => {
  it.each([
    [{ memory: 101 * MIB }, 'memory'],
    [{ processes: 11 }, 'processes'],
    [{ sockets: 11 }, 'sockets'],
    [{ memory: 100 * MIB, processes: 10, sockets: 10 }, null],
  ])('%j ends the box that takes it, once and no other: %s', (more, why) => {
    const [one, other] = [add(1), add(2)];
    taken.set(1, { ...NOTHING, ...more });
    watch.lookAtBoxes();
    watch.lookAtBoxes();
    expect([one(), other()]).toEqual([why, null]);
    expect(ended).toEqual(why === null ? [] : [1]);
  });

  it('are not known of a box that is being set up, and not asked of a command on the host', () => {
    taken.set(1, null).set(2, { ...NOTHING, memory: 1000 * MIB });
    const [one, other] = [add(1), add(2, { host: true })];
    watch.lookAtBoxes();
    expect([one(), other()]).toEqual([null, null]);
  });
});

describe('a disk that is nearly full', () => {
  it('ends the box that writes, and leaves the other', () => {
    const [one, other] = [add(1), add(2)];
    look(3);
    free = { ...free, bytes: 99 * MIB };
    taken.set(1, { ...NOTHING, written: 2 * MIB });
    look(3);
    expect([one(), other()]).toEqual(['storage', null]);
  });

  it('ends all that could fill it where nobody seems to and it stays so', () => {
    const one = add(1);
    look(1);
    free = { ...free, bytes: 99 * MIB, used: 901 * MIB };
    look(10);
    expect(one()).toBeNull();
    look(150);
    expect(one()).toBe('storage');
  });

  it('leaves a box since which it has not grown', () => {
    free = { ...free, bytes: 99 * MIB, used: 901 * MIB };
    const one = add(1);
    look(500);
    expect(one()).toBeNull();
  });

  it('ends what leaves it without names for files, and no other', () => {
    const one = add(1);
    free = { ...free, names: 90_000, namesLeft: 10_000 };
    look(1);
    const other = add(2);
    free = { ...free, names: 98_000, namesLeft: 2_000 };
    look(1);
    const late = add(3);
    look(20);
    expect([one(), other(), late()]).toEqual(['storage', 'storage', null]);
  });

  it('ends nobody when it was short for a moment', () => {
    const one = add(1);
    for (let n = 0; n < 5; n += 1) {
      free = { ...free, bytes: 99 * MIB };
      look(100);
      free = { ...free, bytes: 101 * MIB };
      look(1);
    }
    expect(one()).toBeNull();
  });
});

describe('a tree', () => {
  const grow = (bytes: number, names = 0): void => {
    free = { ...free, used: free.used + bytes, names: free.names + names };
    look(1);
  };

  it('is walked only when its disk has grown by what it may hold, and is ended for what it holds', () => {
    const one = add(1);
    look(1);
    grow(5 * MIB);
    writeFileSync(join(folder, 'big'), Buffer.alloc(41 * MIB, 1));
    look(100);
    expect(one()).toBeNull();
    grow(36 * MIB);
    look(100);
    expect(one()).toBe('tree_bytes');
  });

  it('is not ended for what others write to its disk', () => {
    const one = add(1);
    writeFileSync(join(folder, 'small'), 'small');
    look(1);
    for (let n = 0; n < 10; n += 1) {
      grow(30 * MIB, 1000);
      look(200);
    }
    expect(one()).toBeNull();
  });

  it('is ended for too many names', () => {
    const one = add(1);
    look(1);
    for (let n = 0; n < 101; n += 1) writeFileSync(join(folder, `${n}`), '');
    grow(0, 101);
    look(100);
    expect(one()).toBe('tree_entries');
  });

  it('that is nobody’s may grow by its bound, from what it began with', () => {
    writeFileSync(join(folder, 'before'), Buffer.alloc(60 * MIB, 1));
    const one = add(1, { bounds: { ...BOUNDS, tree: { bytes: 20 * MIB, entries: 100, growth: true } } });
    look(1);
    grow(3 * MIB);
    look(100);
    writeFileSync(join(folder, 'more'), Buffer.alloc(10 * MIB, 1));
    grow(16 * MIB);
    look(100);
    expect(one()).toBeNull();
    writeFileSync(join(folder, 'too much'), Buffer.alloc(15 * MIB, 1));
    grow(25 * MIB);
    look(100);
    expect(one()).toBe('tree_bytes');
  });
});
