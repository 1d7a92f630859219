import { fingerprintOf, type Finding } from './finding.js';

/** A finding as a model returns it. */
export type ModelFinding = Pick<Finding, 'type' | 'severity' | 'description' | 'evidence'>;

/**
 * The findings of the rules, then those of the model that say something else. The model repeats a rule's finding when it has
 * the same type and names the same masked secret or the same place.
 */
export function mergeFindings(deterministic: readonly Finding[], model: readonly ModelFinding[]): Finding[] {
  const merged = [...deterministic];
  const seen = new Set<string>();
  for (const { type, severity, description, evidence } of model) {
    const words = `${description}\n${evidence}`;
    if (deterministic.some((known) => known.type === type && anchorsOf(known).some((anchor) => names(words, anchor))))
      continue;
    const fingerprint = fingerprintOf(type, normalised(evidence === '' ? description : evidence));
    if (seen.has(fingerprint)) continue;
    seen.add(fingerprint);
    merged.push({ type, severity, description, evidence, deterministic: false, fingerprint });
  }
  return merged;
}

/** What of a rule's evidence a model that means the same thing quotes: the hash of the mask, or the place. */
function anchorsOf({ evidence }: Finding): string[] {
  const hash = /#[0-9a-f]{4,8}(?=\])/.exec(evidence)?.[0];
  const place = /^\S+:\d+(?= )/.exec(evidence)?.[0];
  return [hash, place].filter((anchor) => anchor !== undefined);
}

/** `src/a.ts:1` is not named by `src/a.ts:12`. */
function names(words: string, anchor: string): boolean {
  for (let at = words.indexOf(anchor); at >= 0; at = words.indexOf(anchor, at + 1)) {
    if (!/\w/.test(words[at + anchor.length] ?? '')) return true;
  }
  return false;
}

function normalised(text: string): string {
  return text.toLowerCase().replace(/\s+/g, ' ').trim();
}
