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

/** A piece of a text, the file it stands in, and whether secrets alone are looked for. */
export interface Chunk {
  text: string;
  path: string | null;
  secretsOnly: boolean;
}

/** The hits of the rules in a piece of a text. Takes and gives what can go to another thread and come back. */
export function scanChunk({ text: chunk, path, secretsOnly }: Chunk): Hit[] {
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
