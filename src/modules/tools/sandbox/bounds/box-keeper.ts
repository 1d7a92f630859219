import { Worker } from 'node:worker_threads';
import { Logger } from '@nestjs/common';
import { ENDS, type BoundsEnd, type Watched } from './box-watch.js';
import type { WatchOrder } from './box-watch.worker.js';

/** A box that is kept within its bounds. */
export interface Kept {
  /** Why it was ended; null where it was not, or by others. */
  readonly ended: BoundsEnd | null;
  /** How often what it takes was measured. */
  readonly measured: number;
  /** It runs no more. */
  release(): void;
}

/** The compiled worker: threads run no TypeScript, as tests do in the sources. */
const WORKER = new URL(
  import.meta.url.replace(/\/src\/(?=modules\/)/, '/dist/').replace(/[^/]*$/, 'box-watch.worker.js'),
);

/**
 * Keeps boxes within their bounds from a thread of its own, so that no work of the event loop holds up an end. Where the
 * thread ends, every box that it kept is ended with it and another is started for the next.
 */
export class BoxKeeper {
  private readonly logger = new Logger('Sandbox');
  private worker: Worker | undefined;
  private last = 0;
  private readonly kept = new Map<number, () => void>();

  constructor(private readonly leastFree: number | null) {}

  /** `end` ends the box where the thread cannot any more. */
  keep(box: Omit<Watched, 'slot' | 'id'>, end: () => void): Kept {
    const shared = new SharedArrayBuffer(8);
    const slot = new Int32Array(shared);
    const id = ++this.last;
    this.kept.set(id, end);
    this.tell({ add: { ...box, id, slot: shared } });
    return {
      get ended() {
        return ENDS[Atomics.load(slot, 0) - 1] ?? null;
      },
      get measured() {
        return Atomics.load(slot, 1);
      },
      release: () => {
        if (this.kept.delete(id)) this.tell({ remove: id });
      },
    };
  }

  private tell(order: WatchOrder): void {
    this.worker ??= this.start();
    this.worker.postMessage(order);
  }

  private start(): Worker {
    const worker = new Worker(WORKER, { workerData: { leastFree: this.leastFree }, env: {}, execArgv: [] });
    worker.unref();
    let told = false;
    const gone = (error?: unknown): void => {
      if (this.worker === worker) this.worker = undefined;
      if (told) return;
      told = true;
      this.logger.error({ message: 'The watch over boxes has ended; every box ends with it', error });
      const boxes = [...this.kept.values()];
      this.kept.clear();
      for (const end of boxes) end();
    };
    worker.once('error', gone).once('exit', () => gone());
    return worker;
  }
}
