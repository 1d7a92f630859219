import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { GitUser } from '../../../config/index.js';
import type { Removals } from './removals.js';
import type { TakenMoment } from './take-moment.js';
import type { TreeLimits } from './tree-budget.js';
import { lstatOrNull, namesIn } from './tree-home.js';
import { runTreeJob } from './tree-jobs.js';

export interface MomentSource {
  workspace: string;
  limits: TreeLimits;
  user: GitUser;
}

/** What several callers that asked at the same time get: one moment, taken after all of them asked. */
interface Batch {
  folder: string;
  users: number;
  /** Aborts when nobody waits any more. */
  nobody: AbortController;
  taken: Promise<TakenMoment>;
}

/** Content that is in the pack and not in the workspace any more, beyond as much again as there is: then a new pack is begun. */
const SPARE_BYTES = 64 * 1024 * 1024;

/**
 * Moments of the workspace, from which trees are filled: the last one is kept, so that the next costs what changed since, and
 * trees that are asked for at the same time share one. One folder for each process, `<folder>/<uuid>`, with one for each moment.
 */
export class Moments {
  private readonly own: string;
  private count = 0;
  private waiting: Batch | null = null;
  private last: Batch | null = null;
  private turn: Promise<unknown> = Promise.resolve();
  private inUse = 0;

  constructor(
    private readonly folder: string,
    private readonly removals: Removals,
  ) {
    this.own = join(folder, randomUUID());
  }

  /**
   * Gives `work` the folder of a moment that is not before this call, and its files that kept changing.
   * @throws DomainError `workspace_too_large`, `workspace_unreadable`; `signal.reason`.
   */
  async use<T>(
    source: MomentSource,
    work: (folder: string, moving: string[]) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    signal?.throwIfAborted();
    const batch = (this.waiting ??= this.begin(source));
    batch.users++;
    this.inUse++;
    try {
      const { moving } = await unlessAborted(batch.taken, signal);
      return await work(batch.folder, moving);
    } finally {
      this.inUse--;
      batch.users--;
      if (batch.users === 0) {
        batch.nobody.abort();
        if (this.waiting === batch) this.waiting = null;
        await this.release(batch);
      }
    }
  }

  /** Removes what nobody has used since `before`: what this process keeps, and what others have left. */
  async sweep(before: number): Promise<void> {
    for (const name of await namesIn(this.folder)) {
      const path = join(this.folder, name);
      if (((await lstatOrNull(path))?.mtimeMs ?? before) >= before) continue;
      if (path !== this.own) await this.removals.take(path);
      else if (this.inUse === 0) {
        this.last = null;
        const removed = this.turn.then(() => this.removals.take(path));
        this.turn = removed.catch(() => undefined);
        await removed;
      }
    }
  }

  /** Removes what this process keeps. */
  close(): Promise<void> {
    this.last = null;
    return rm(this.own, { recursive: true, force: true });
  }

  private begin(source: MomentSource): Batch {
    const nobody = new AbortController();
    const folder = join(this.own, String(++this.count));
    const batch: Batch = { folder, users: 0, nobody, taken: this.turn.then(() => this.take(batch, source)) };
    this.turn = batch.taken.catch(() => undefined);
    return batch;
  }

  private async take(batch: Batch, source: MomentSource): Promise<TakenMoment> {
    if (this.waiting === batch) this.waiting = null;
    const { last } = this;
    const order = { ...source, folder: batch.folder, before: last?.folder ?? null };
    const taken = await runTreeJob('moment', order, batch.nobody.signal);
    this.last = taken.packed > 2 * taken.live + SPARE_BYTES ? null : batch;
    if (last !== null) await this.release(last);
    return taken;
  }

  private async release(batch: Batch): Promise<void> {
    if (batch.users > 0 || batch === this.last) return;
    // What a thread that is being stopped still writes there goes with the folder of this process.
    await rm(batch.folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** What `promise` gives, or the reason of a signal that aborts before. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
