import { ThreadPool } from '../../../platform/threads/index.js';
import { scanChunk, type Hit } from './scan-chunk.js';
import type * as worker from './scan.worker.js';

export type { Hit };

/** The deterministic rules did not come to an end: their stage fails, since what they did not see cannot pass. */
export class ScanFailedError extends Error {
  override readonly name = 'ScanFailedError';
}

/** Characters read at once, in another thread. Ordinary text takes 5 ms, the worst that was tried 400 ms. */
const CHUNK = 64 * 1024;
/** Characters up to which a text is read at once: the worst takes a sixteenth of that. */
const SHORT = 4 * 1024;
/** Characters before a chunk that its patterns may look back at. */
const LOOK_BACK = 256;
/** Longest hit that is found across the end of a chunk: a private key in wrapped base64. */
const OVERLAP = 16 * 1024;

const threads = new ThreadPool<Pick<typeof worker, 'scanChunk'>>(import.meta.url, 'scan.worker.js');

/** When to give up. One budget serves all texts of a stage. */
export class ScanBudget {
  private readonly endsAt: number;

  constructor(
    seconds: number,
    private readonly signal?: AbortSignal,
  ) {
    this.endsAt = performance.now() + seconds * 1_000;
  }

  /** A new signal that aborts when the time is over, and with the signal that was given. */
  ends(): AbortSignal {
    const over = AbortSignal.timeout(Math.max(0, Math.ceil(this.endsAt - performance.now())));
    return this.signal === undefined ? over : AbortSignal.any([this.signal, over]);
  }

  /** @throws ScanFailedError when the time is over; `signal.reason`. */
  check(): void {
    this.signal?.throwIfAborted();
    if (performance.now() > this.endsAt) throw new ScanFailedError('The deterministic rules ran out of time.');
  }
}

export interface ScanOptions {
  budget: ScanBudget;
  /** The file the text stands in, if any. */
  path?: string | null;
  /** Look for secrets alone: numbers in binary files are nobody's phone. */
  secretsOnly?: boolean;
}

/**
 * Applies every rule to `text`, chunk by chunk; each hit once, in order.
 * @throws ScanFailedError, `signal.reason`.
 */
export async function scanText(text: string, options: ScanOptions): Promise<Hit[]> {
  const hits: Hit[] = [];
  for (let from = 0; from < text.length; from += CHUNK) {
    options.budget.check();
    const base = Math.max(0, from - LOOK_BACK);
    const to = from + CHUNK;
    let found: Hit[];
    try {
      const { path = null, secretsOnly = false } = options;
      const order = { text: text.slice(base, to + OVERLAP), path, secretsOnly };
      found = text.length <= SHORT ? scanChunk(order) : await threads.run('scanChunk', order, options.budget.ends());
    } catch (cause) {
      options.budget.check();
      throw new ScanFailedError('A deterministic rule failed.', { cause });
    }
    for (const hit of found) {
      const start = hit.start + base;
      if (start >= from && start < to) hits.push({ ...hit, start, end: hit.end + base });
    }
  }
  return hits.sort((a, b) => a.start - b.start);
}
