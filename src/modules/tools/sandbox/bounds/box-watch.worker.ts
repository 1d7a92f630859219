import { parentPort, workerData } from 'node:worker_threads';
import { BoxWatch, type Watched } from './box-watch.js';

/** What the thread of the watch is told. */
export type WatchOrder = { add: Omit<Watched, 'slot'> & { slot: SharedArrayBuffer } } | { remove: number };

/** Between two looks at disks, which cost next to nothing. */
const DISKS_MS = 10;
/** Between two looks at boxes, at least, and how many times the length of a look. */
const BOXES_MS = 40;
const PAUSES = 3;
/** How long a walk may hold up the next look. */
const WALK_MS = 10;

const watch = new BoxWatch((workerData as { leastFree: number | null }).leastFree);
let timer: NodeJS.Timeout | undefined;
let boxesAt = 0;

function look(): void {
  if (watch.idle) {
    clearInterval(timer);
    timer = undefined;
    return;
  }
  watch.lookAtDisks(WALK_MS);
  const now = performance.now();
  if (now < boxesAt) return;
  watch.lookAtBoxes();
  boxesAt = performance.now() + Math.max(BOXES_MS, PAUSES * (performance.now() - now));
}

parentPort?.on('message', (order: WatchOrder) => {
  if ('remove' in order) {
    watch.remove(order.remove);
    return;
  }
  watch.add({ ...order.add, slot: new Int32Array(order.add.slot) });
  timer ??= setInterval(look, DISKS_MS);
});
