import type { GitTraps } from '../../tools/index.js';
import { readDiff, type DiffContent } from './added-lines.js';
import { fileReadings } from './file-readings.js';
import { fingerprintOf, maskedSecret, maskedPersonal, type Finding } from './finding.js';
import { gitFindings } from './git-findings.js';
import { legiblePath } from './legible-path.js';
import { ScanBudget, scanText, type Hit } from './text-scan.js';

/** A changed file whose content the diff does not show. */
export interface HiddenFile {
  path: string;
  reason: 'binary' | 'large';
  /** Its new content; null when there is none, or when it cannot be had. */
  read(): Promise<Buffer | null>;
}

export interface WorkToScan {
  taskId: string;
  /** What the person wrote: personal data that it holds is no exposure when the work repeats it. */
  request: string;
  /** Every text that the task would publish, by a name for people. */
  texts: readonly { name: string; text: string }[];
  /** Unified diff of the work tree; its added lines are scanned. */
  diff: string | null;
  /** Changed files that still exist and that the diff does not show; their whole content is scanned. */
  hidden: readonly HiddenFile[];
  /** The parts of the work that the owner's git would obey. */
  traps?: GitTraps | null;
  signal: AbortSignal;
}

const SECONDS = 45;
/** Characters of all texts, some ten seconds' work; what is past them is not examined, which is a finding. */
const MOST_CHARACTERS = 8 * 1024 * 1024;
/** Findings of one kind in one place that are told one by one. */
const MOST_ALIKE = 5;
const MOST_FINDINGS = 100;

interface Source {
  text: string;
  path: string | null;
  place(offset: number): string;
  secretsOnly?: boolean;
}

/**
 * The deterministic tier of the guardrail: secrets, personal data and injection markers in what the task wrote. Needs no model.
 * @throws ScanFailedError when it could not come to an end, the signal's reason.
 */
export async function scanWork(work: WorkToScan): Promise<Finding[]> {
  const budget = new ScanBudget(SECONDS, work.signal);
  const diff = readDiff(work.diff ?? '');
  const known = new Set<string>();
  for (const text of [work.request, diff.removed]) {
    for (const hit of await scanText(text, { budget })) if (hit.type === 'pii_exposure') known.add(hit.value);
  }
  const findings: Finding[] = [];
  const found: { hit: Hit; source: Source }[] = [];
  let left = MOST_CHARACTERS;
  const scan = async (source: Source): Promise<void> => {
    if (source.text.length > left) {
      findings.push(unexamined(work.taskId, source.path ?? source.place(0), 'is too large to be examined'));
      return;
    }
    left -= source.text.length;
    const hits = await scanText(source.text, { budget, path: source.path, secretsOnly: source.secretsOnly ?? false });
    for (const hit of hits) if (hit.type !== 'pii_exposure' || !known.has(hit.value)) found.push({ hit, source });
  };

  for (const { name, text } of work.texts) {
    await scan({ text, path: null, place: (offset) => `${name}, line ${lineAt(text, offset)}` });
  }
  for (const { path, lines, text } of diff.added) {
    await scan({ text, path, place: (offset) => `${path}:${lines[lineAt(text, offset) - 1] ?? 0}` });
  }
  found.push(...(await maskedLines(work.diff ?? '', diff, found, budget)));
  await scan({ text: diff.rest, path: null, place: () => 'the names of changed files' });
  for (const file of work.hidden) {
    const content = await readHidden(file, budget);
    if (content === null) {
      findings.push(unexamined(work.taskId, file.path, 'could not be examined'));
      continue;
    }
    for (const { text, isText } of fileReadings(content)) {
      const place = (offset: number): string =>
        file.reason === 'binary' ? file.path : `${file.path}:${lineAt(text, offset)}`;
      await scan({ text, path: file.path, place, secretsOnly: !isText });
    }
  }
  findings.unshift(...gitFindings(work.traps ?? null, work.taskId), ...describe(found, work.taskId));
  return findings.slice(0, MOST_FINDINGS);
}

/**
 * The secrets by which added lines of `text` are masked in prompts, and which those lines alone do not show: such a secret has a
 * part in lines that were there before. What a mask covers, no judge has seen.
 */
async function maskedLines(
  text: string,
  { added }: DiffContent,
  found: readonly { hit: Hit; source: Source }[],
  budget: ScanBudget,
): Promise<{ hit: Hit; source: Source }[]> {
  const more: { hit: Hit; source: Source }[] = [];
  for (const hit of await scanText(text, { budget, secretsOnly: true })) {
    for (const { path, lines, spans } of added) {
      const index = spans.findIndex(({ start, end }) => hit.start < end && start < hit.end);
      if (index === -1 || found.some(({ hit: { label }, source }) => label === hit.label && source.path === path))
        continue;
      more.push({ hit, source: { text, path, place: () => `${path}:${lines[index] ?? 0}` } });
    }
  }
  return more;
}

async function readHidden(file: HiddenFile, budget: ScanBudget): Promise<Buffer | null> {
  budget.check();
  try {
    return await file.read();
  } catch {
    budget.check();
    return null;
  }
}

function unexamined(taskId: string, path: string, what: string): Finding {
  return {
    type: 'other',
    severity: 'high',
    description: `A changed file ${what}.`,
    evidence: legiblePath(path, taskId),
    deterministic: true,
    fingerprint: fingerprintOf('unexamined', path),
  };
}

const DESCRIPTIONS: Readonly<Record<Hit['type'], string>> = {
  credential_leak: 'The work holds a credential',
  pii_exposure: 'The work holds personal data',
  prompt_injection: 'The work holds what may steer a model that reads it',
};

/** One finding for each thing in each file; of many alike the first few, and how many more there are. */
function describe(found: readonly { hit: Hit; source: Source }[], taskId: string): Finding[] {
  const findings: Finding[] = [];
  const seen = new Set<string>();
  const alike = new Map<string, { last: Finding; count: number }>();
  for (const { hit, source } of found) {
    const where = source.path ?? source.place(0).replace(/, line \d+$/, '');
    const same = [hit.type, hit.label, where, hit.value].join('\u0000');
    if (seen.has(same)) continue;
    seen.add(same);
    const kind = [hit.type, hit.label, where].join('\u0000');
    const group = alike.get(kind);
    if (group !== undefined && group.count >= MOST_ALIKE) {
      group.count += 1;
      group.last.description = `${DESCRIPTIONS[hit.type]}: ${hit.label}. There are ${group.count - MOST_ALIKE} more of these.`;
      continue;
    }
    const finding: Finding = {
      type: hit.type,
      severity: hit.severity,
      description: `${DESCRIPTIONS[hit.type]}: ${hit.label}.`,
      evidence: `${legiblePath(source.place(hit.start), taskId)} ${evidenceOf(hit, taskId)}`,
      deterministic: true,
      fingerprint: fingerprintOf(hit.type, hit.label, where, evidenceOf(hit, taskId)),
    };
    findings.push(finding);
    alike.set(kind, { last: finding, count: (group?.count ?? 0) + 1 });
  }
  return findings;
}

function evidenceOf(hit: Hit, taskId: string): string {
  switch (hit.type) {
    case 'credential_leak':
      return maskedSecret(hit.label, hit.value, taskId);
    case 'pii_exposure':
      return maskedPersonal(hit.label, hit.value, hit.shown.length, taskId);
    case 'prompt_injection':
      return `"${hit.shown}"`;
  }
}

/** The number, from 1, of the line that holds `offset`. */
function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line += 1;
  return line;
}
