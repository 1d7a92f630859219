import { lifeOf, type BoxProcess } from '../box-process.js';
import { measure, type Taken } from './box-measure.js';
import { freeSpace, isShort, mustStayFree, type Free, type FreeSpace } from '../../../../platform/free-space/index.js';
import { treeSize, TreeUnreadableError, type TreeSize } from './tree-size.js';

/** Why a box was ended, by its number in the slot that its starter reads; 0 is none. */
export const ENDS = [
  'memory',
  'processes',
  'sockets',
  'tree_bytes',
  'tree_entries',
  'tree_unreadable',
  'storage',
] as const;
export type BoundsEnd = (typeof ENDS)[number];

/** What a box may take while it runs, all of its processes together. */
export interface BoxBounds {
  memory: number;
  processes: number;
  sockets: number;
  /** What its root may grow to; for one that is nobody's tree, by how much. */
  tree: TreeSize & { growth: boolean };
}

/** A running box. */
export interface Watched {
  id: number;
  /** Its first process; of a command on the host, the leader of its process group. */
  first: BoxProcess;
  /** Whether it is a command on the host, of which only what it does to the disk is bounded. */
  host: boolean;
  root: string;
  bounds: BoxBounds;
  /** Why it was ended, and how often it was measured. */
  slot: Int32Array;
}

/** What the watch reads and does; tests have their own. */
export interface WatchPorts {
  measure: (first: number, bounds: BoxBounds) => Taken | null;
  space: FreeSpace;
  /** Ends a box at once. */
  end: (watched: Watched) => void;
  now: () => number;
}

interface Tree {
  /** As the last whole walk found it; null before one. */
  known: TreeSize | null;
  /** What its disk has grown by since, whoever wrote: the tree has not grown by more. */
  grown: { bytes: number; names: number };
  last: { used: number; names: number } | null;
  walk: { steps: Generator<void, TreeSize>; grown: { bytes: number; names: number }; began: number } | null;
  /** What running boxes had written when it was last walked. */
  written: number;
  walkAgainAt: number;
}

interface Box extends Watched {
  began: number;
  written: number;
  /** What its disk held when it began, of everybody's: a box since which that has not grown does not fill it. */
  usedBefore: { bytes: number; names: number } | null;
  /** What its root began with, for roots whose growth is bounded. */
  base: TreeSize | null;
}

/** Walks begin at this share of a bound, so that they end about when it is reached. */
const WARY = 0.75;
/** A walk is followed by a pause of so many times its own length, and the least pause. */
const WALK_PAUSES = 4;
const LEAST_PAUSE_MS = 100;
/** Writing so much of a bound also makes a walk due: what others remove meanwhile hides how a disk grows. */
const WRITTEN = 0.25;
/** So much of a bound may be written before it is looked at what a root began with. */
const BEGUN = 0.1;
/** A tree nobody works in is forgotten after so many others. */
const MOST_TREES = 1_000;
/** A box that wrote less is not what fills a disk. */
const WROTE = 1024 * 1024;
/** Nor is one that made fewer names. */
const MADE = 256;
/** A disk that stays short for so long has a writer that hides: every box on it ends, if the disk has grown since it began. */
const HIDDEN_MS = 1_500;
/** Names are made faster than bytes, and no process tells how many it made. */
const HIDDEN_NAMES_MS = 100;

/**
 * Measures running boxes and ends what is over its bounds. Between two looks a box can pass a bound by what it takes in
 * that time. It is told of the time, and keeps none itself.
 */
export class BoxWatch {
  private readonly boxes = new Map<number, Box>();
  private readonly trees = new Map<string, Tree>();
  private readonly shortSince = new Map<string, number>();

  constructor(
    private readonly leastFree: number | null,
    private readonly ports: WatchPorts = { measure, space: freeSpace, end: endProcess, now: () => performance.now() },
  ) {}

  get idle(): boolean {
    return this.boxes.size === 0;
  }

  add(watched: Watched): void {
    const tree = this.trees.get(watched.root);
    const free = this.ports.space(watched.root);
    const usedBefore = free && { bytes: free.used, names: free.names };
    const box: Box = { ...watched, began: this.ports.now(), written: 0, usedBefore, base: tree?.known ?? null };
    this.boxes.set(box.id, box);
    this.trees.delete(box.root);
    this.trees.set(
      box.root,
      tree ?? { known: null, grown: { bytes: 0, names: 0 }, last: null, walk: null, written: 0, walkAgainAt: 0 },
    );
    for (const root of this.trees.keys()) {
      if (this.trees.size <= MOST_TREES) break;
      if (![...this.boxes.values()].some((one) => one.root === root)) this.trees.delete(root);
    }
    this.lookAtMemory(box);
  }

  remove(id: number): void {
    const root = this.boxes.get(id)?.root;
    this.boxes.delete(id);
    const tree = root === undefined ? undefined : this.trees.get(root);
    if (tree && ![...this.boxes.values()].some((box) => box.root === root)) {
      // A walk of a tree that nobody writes to would hold descriptors for nothing.
      tree.walk?.steps.return({ bytes: 0, entries: 0 });
      tree.walk = null;
    }
  }

  /** A look at the memory and processes of every box; costs more than one at the disks. */
  lookAtBoxes(): void {
    for (const box of this.boxes.values()) this.lookAtMemory(box);
  }

  /** A look at the room on disks and how trees have grown; goes on with walks for about `ms`. */
  lookAtDisks(ms: number): void {
    const roots = new Map<string, Box[]>();
    for (const box of this.boxes.values()) roots.set(box.root, [...(roots.get(box.root) ?? []), box]);
    const until = this.ports.now() + ms;
    for (const [root, boxes] of roots) {
      const free = this.ports.space(root);
      if (free === null) continue;
      this.keepRoom(root, boxes, free);
      const tree = this.trees.get(root);
      if (tree === undefined) continue;
      grow(tree, free);
      this.walk(root, tree, boxes, until);
    }
  }

  private lookAtMemory(box: Box): void {
    if (box.host || Atomics.load(box.slot, 0) !== 0) return;
    const taken = this.ports.measure(box.first.pid, box.bounds);
    if (taken === null) return;
    Atomics.add(box.slot, 1, 1);
    box.written = Math.max(box.written, taken.written);
    if (taken.memory > box.bounds.memory) this.end(box, 'memory');
    else if (taken.processes > box.bounds.processes) this.end(box, 'processes');
    else if (taken.sockets > box.bounds.sockets) this.end(box, 'sockets');
  }

  /** Ends what writes while its disk is short; after a while all that could be what fills it. */
  private keepRoom(root: string, boxes: readonly Box[], free: Free): void {
    for (const box of boxes) box.usedBefore ??= { bytes: free.used, names: free.names };
    if (!isShort(free, this.leastFree)) {
      this.shortSince.delete(root);
      return;
    }
    const now = this.ports.now();
    const since = this.shortSince.get(root) ?? now;
    this.shortSince.set(root, since);
    const isFull = free.bytes < mustStayFree(free.size, this.leastFree);
    const patience = isFull ? HIDDEN_MS : HIDDEN_NAMES_MS;
    for (const box of boxes) {
      if (Atomics.load(box.slot, 0) !== 0) continue;
      this.lookAtMemory(box);
      const before = box.usedBefore ?? { bytes: free.used, names: free.names };
      const grown = free.used - before.bytes >= WROTE || free.names - before.names >= MADE;
      const hidden = grown && now - Math.max(since, box.began) >= patience;
      if (box.written >= WROTE || hidden) this.end(box, 'storage');
    }
  }

  private walk(root: string, tree: Tree, boxes: readonly Box[], until: number): void {
    const bounds = boxes.map((box) => ({ box, bound: boundOf(box) }));
    const now = this.ports.now();
    const written = boxes.reduce((all, box) => all + box.written, 0);
    const wary = bounds.some(({ box, bound }) => {
      const { bytes, entries } = bound ?? box.bounds.tree;
      if (tree.grown.bytes === 0 && tree.grown.names === 0) return false;
      if (bound === null) return tree.grown.bytes > bytes * BEGUN || tree.grown.names > entries * BEGUN;
      const mayBe = mostOf(tree, bound);
      return mayBe.bytes > bytes * WARY || mayBe.entries > entries * WARY || written - tree.written > bytes * WRITTEN;
    });
    const due = wary && now >= tree.walkAgainAt;
    if (tree.walk === null && due) {
      tree.walk = { steps: treeSize(root), grown: { ...tree.grown }, began: now };
    }
    if (tree.walk === null) return;
    const { steps, grown, began } = tree.walk;
    try {
      do {
        const step = steps.next();
        if (step.done !== true) continue;
        tree.walk = null;
        tree.known = step.value;
        tree.grown = { bytes: tree.grown.bytes - grown.bytes, names: tree.grown.names - grown.names };
        break;
      } while (this.ports.now() < until);
    } catch (error) {
      if (!(error instanceof TreeUnreadableError)) throw error;
      tree.walk = null;
      // What is hidden counts as if all that the disk has grown by were in it.
      for (const { box, bound } of bounds) {
        if (bound === null) continue;
        const mayBe = mostOf(tree, bound);
        if (mayBe.bytes > bound.bytes || mayBe.entries > bound.entries) this.end(box, 'tree_unreadable');
      }
    }
    if (tree.walk !== null) return;
    const spent = this.ports.now() - began;
    tree.written = written;
    tree.walkAgainAt = this.ports.now() + Math.max(LEAST_PAUSE_MS, WALK_PAUSES * spent);
    const size = tree.known;
    if (size === null) return;
    for (const { box } of bounds) {
      box.base ??= size;
      const bound = boundOf(box);
      if (bound === null) continue;
      if (size.bytes > bound.bytes) this.end(box, 'tree_bytes');
      else if (size.entries > bound.entries) this.end(box, 'tree_entries');
    }
  }

  private end(box: Box, why: BoundsEnd): void {
    if (Atomics.compareExchange(box.slot, 0, 0, ENDS.indexOf(why) + 1) === 0) this.ports.end(box);
  }
}

/** The most that a tree can hold. One that was never walked was filled to half of its bound at most. */
function mostOf({ known, grown }: Tree, bound: TreeSize): TreeSize {
  return {
    bytes: (known?.bytes ?? bound.bytes / 2) + grown.bytes,
    entries: (known?.entries ?? bound.entries / 2) + grown.names,
  };
}

/** What the root of a box may hold; null while it is not known what it began with. */
function boundOf({ base, bounds: { tree } }: Box): TreeSize | null {
  if (!tree.growth) return tree;
  return base === null ? null : { bytes: base.bytes + tree.bytes, entries: base.entries + tree.entries };
}

/** Adds what a disk has grown by since the last look; what it shrank by is not taken off, since others remove things too. */
function grow(tree: Tree, { used, names }: { used: number; names: number }): void {
  if (tree.last !== null) {
    tree.grown.bytes += Math.max(0, used - tree.last.used);
    tree.grown.names += Math.max(0, names - tree.last.names);
  }
  tree.last = { used, names };
}

/** With the first process of its namespace every other one of a box ends. */
function endProcess({ first, host }: Watched): void {
  if (lifeOf(first.pid) !== first.startedAt) return;
  try {
    process.kill(host ? -first.pid : first.pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
