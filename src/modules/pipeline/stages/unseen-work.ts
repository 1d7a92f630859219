import { MOST_UNSEEN_LISTED, type CodeReviewOutput, type GuardrailOutput, type UnseenWork } from './outputs.js';
import type { DataBlock, StageDiff } from './stage-input.js';

type Verdict = CodeReviewOutput | GuardrailOutput;

const VERDICTS: readonly CodeReviewOutput['verdict'][] = ['pass', 'needs_refactor', 'reject'];
/** A file's part of a diff begins with it; no line of content does. */
const FILE_HEADER = /^diff --git /gm;

/**
 * The work that a judge was not shown whole: what the diff does not show, and `rest`, which no prompt had room for. Deletions
 * are seen by their name, and content that the base holds is nothing new.
 */
export function unseenWork(diff: StageDiff | null, rest: readonly DataBlock[]): Verdict['unseen'] {
  const changes = new Map(diff?.files.map(({ path, change }) => [path, change]));
  const unseen = new Map<string, UnseenWork['reason']>();
  for (const { path, reason, atBase } of diff?.notShown ?? []) {
    if (changes.get(path) !== 'deleted' && !atBase) unseen.set(path, reason);
  }
  for (const { name, text } of rest) {
    const paths = name === 'diff' && diff !== null ? filesIn(text, diff) : [name];
    for (const path of paths) if (changes.get(path) !== 'deleted') unseen.set(path, unseen.get(path) ?? 'large');
  }
  if (unseen.size === 0) return undefined;
  const files = [...unseen].map(([path, reason]) => ({ path, reason }));
  return { files: files.slice(0, MOST_UNSEEN_LISTED), more: Math.max(0, files.length - MOST_UNSEEN_LISTED) };
}

/** The files of which `rest`, the end of the diff's text, tells something. */
function filesIn(rest: string, diff: StageDiff): string[] {
  const whole = rest.match(FILE_HEADER)?.length ?? 0;
  const cut = rest.startsWith('diff --git ') ? 0 : 1;
  return diff.files.slice(-Math.min(whole + cut, diff.files.length)).map(({ path }) => path);
}

/** The verdict on all pieces of a work: the strictest counts, and findings and issues add up. */
export function strictest(verdicts: readonly Record<string, unknown>[]): Record<string, unknown> {
  const [first] = verdicts;
  if (verdicts.length === 1 && first !== undefined) return first;
  const all = verdicts as readonly Partial<Omit<CodeReviewOutput, 'unseen'> & Omit<GuardrailOutput, 'unseen'>>[];
  const summary = all.map((one, index) => `Part ${index + 1}: ${one.summary ?? ''}`).join('\n');
  const notes = all.flatMap((one) => one.notes ?? []);
  const common = { summary, ...(notes.length > 0 && { notes }) };
  if (first !== undefined && 'verdict' in first) {
    const rank = Math.max(...all.map(({ verdict }) => (verdict === undefined ? 2 : VERDICTS.indexOf(verdict))));
    return { verdict: VERDICTS[rank] ?? 'reject', issues: all.flatMap(({ issues }) => issues ?? []), ...common };
  }
  return {
    blocked: all.some(({ blocked }) => blocked !== false),
    findings: all.flatMap(({ findings }) => findings ?? []),
    ...common,
  };
}
