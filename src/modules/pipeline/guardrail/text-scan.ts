import { setImmediate as nextTurn } from 'node:timers/promises';
import { findHiddenText, findInjectionPhrases, legible } from './injection-markers.js';
import { findPersonalData } from './personal-data.js';
import { findSecrets } from './secret-rules.js';
import { plainView, secretViews } from './text-views.js';
import type { FindingType } from './finding.js';
import type { Severity } from '../../pods/index.js';

/** Something a rule found, at [start, end) of the text that was scanned. `value` is what stands there, secrets included. */
export interface Hit {
  type: Extract<FindingType, 'credential_leak' | 'pii_exposure' | 'prompt_injection'>;
  label: string;
  severity: Severity;
  start: number;
  end: number;
  /** What makes two hits the same thing. */
  value: string;
  /** What people may be shown of it, for what is no secret. */
  shown: string;
}

/** The deterministic rules did not come to an end: their stage fails, since what they did not see cannot pass. */
export class ScanFailedError extends Error {
  override readonly name = 'ScanFailedError';
}

/** Characters read at once; the event loop turns in between. Ordinary text takes 5 ms, the worst that was tried 400 ms. */
const CHUNK = 64 * 1024;
/** Characters up to which a text is not worth a turn of the event loop of its own. */
const SHORT = 4 * 1024;
/** Characters before a chunk that its patterns may look back at. */
const LOOK_BACK = 256;
/** Longest hit that is found across the end of a chunk: a private key in wrapped base64. */
const OVERLAP = 16 * 1024;

/** When to give up. One budget serves all texts of a stage. */
export class ScanBudget {
  private readonly endsAt: number;

  constructor(
    seconds: number,
    private readonly signal?: AbortSignal,
  ) {
    this.endsAt = performance.now() + seconds * 1_000;
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
      found = scanChunk(text.slice(base, to + OVERLAP), options);
    } catch (cause) {
      throw new ScanFailedError('A deterministic rule failed.', { cause });
    }
    for (const hit of found) {
      const start = hit.start + base;
      if (start >= from && start < to) hits.push({ ...hit, start, end: hit.end + base });
    }
    if (text.length > SHORT) await nextTurn();
  }
  return hits.sort((a, b) => a.start - b.start);
}

function scanChunk(chunk: string, { path = null, secretsOnly = false }: ScanOptions): Hit[] {
  const hits = secretHits(chunk);
  if (secretsOnly) return hits;
  const secrets = [...hits];
  const shownUnlessSecret = (hit: Omit<Hit, 'shown'>): Hit => ({
    ...hit,
    shown: secrets.some(({ start, end }) => hit.start < end && hit.end > start) ? '' : legible(hit.value),
  });
  for (const match of findHiddenText(chunk)) {
    hits.push(shownUnlessSecret({ type: 'prompt_injection', ...match, value: chunk.slice(match.start, match.end) }));
  }
  const plain = plainView(chunk);
  const place = (start: number, end: number) => ({ start: plain.sourceOf(start), end: plain.sourceEndOf(end) });
  for (const match of findInjectionPhrases(plain.text)) {
    const value = plain.text.slice(match.start, match.end);
    hits.push(shownUnlessSecret({ type: 'prompt_injection', ...match, ...place(match.start, match.end), value }));
  }
  for (const { label, severity, start, end, key, shown } of findPersonalData(plain.text, path)) {
    hits.push({ type: 'pii_exposure', label, severity, ...place(start, end), value: key, shown: key.slice(0, shown) });
  }
  return hits;
}

/** The same secret at the same place is one hit, however many readings of the text show it. */
function secretHits(chunk: string): Hit[] {
  const all: Hit[] = [];
  for (const view of secretViews(chunk)) {
    for (const { label, severity, start, end, value } of findSecrets(view.text)) {
      const [from, to] = view.rangeOf(start, end);
      all.push({ type: 'credential_leak', label, severity, start: from, end: to, value, shown: '' });
    }
  }
  const hits: Hit[] = [];
  for (const hit of all.sort((a, b) => a.start - b.start)) {
    const last = hits.at(-1);
    if (last === undefined || hit.start >= last.end) hits.push(hit);
    else last.end = Math.max(last.end, hit.end);
  }
  return hits;
}
