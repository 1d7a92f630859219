import { createHash } from 'node:crypto';
import { shownPath } from '../boundary/shown-path.js';
import { decodedText } from './decoded-text.js';
import type { Comparison } from './compare-tree.js';
import type { FileRecord } from './file-record.js';
import type { GitTraps } from './git-traps.js';
import { wholeHunk } from './hunks.js';
import type { RecordedContent } from './recorded-content.js';
import { runTreeJob } from './tree-jobs.js';

export interface TreeChange {
  path: string;
  change: 'added' | 'modified' | 'deleted';
  /** Of the new content; null for a deleted file. */
  sha256: string | null;
}

export interface TreeDiff {
  /** A unified diff, with a summary in the place of what is binary or too large. */
  text: string;
  /** Sorted by path. */
  files: TreeChange[];
  /** SHA-256 over the changes and all their content, whether `text` shows it or not; the same for the same changes. */
  contentHash: string;
  /** Changes whose content `text` does not show: whoever judges by `text` has not seen these (`WorkTrees.read` gives them). */
  notShown: NotShown[];
  /** The parts of the changes that the owner's git would obey; null for nothing. */
  traps: GitTraps | null;
}

export interface NotShown {
  path: string;
  reason: 'binary' | 'large';
  /** The new content is that of a file that the changes take away or replace, as in a rename. */
  atBase: boolean;
}

/** Bytes; larger files are summarised. Lock files have 1 MB and more. */
export const MAX_FILE_BYTES = 1536 * 1024;
/** Characters of all diffs together, the last one not counted: judges are shown 2.5 MB of text at the most. */
const MAX_TEXT = 1024 * 1024;
/** Characters past which further changes are not even named in the text. */
const MAX_NAMED = MAX_TEXT + 512 * 1024;
export interface Difference {
  path: string;
  before: FileRecord | null;
  after: FileRecord | null;
}

function asChange({ path, before, after }: Difference): TreeChange {
  if (after === null) return { path, change: 'deleted', sha256: null };
  return { path, change: before === null ? 'added' : 'modified', sha256: after.sha256 };
}

export function contentHash(changes: readonly Difference[]): string {
  // Of the JSON of a list, written piece by piece: names alone may be hundreds of MB.
  const hash = createHash('sha256');
  changes.forEach(({ path, before, after }, index) => {
    const stable = [path, before && [before.type, before.sha256], after && [after.type, after.sha256]];
    hash.update(`${index === 0 ? '[' : ','}${JSON.stringify(stable)}`);
  });
  return hash.update(changes.length === 0 ? '[]' : ']').digest('hex');
}

/** Describes the changes between a base and a tree without running anything in either. */
export async function describeChanges(
  base: RecordedContent,
  tree: RecordedContent,
  { changes, traps }: Pick<Comparison, 'changes' | 'traps'>,
  signal?: AbortSignal,
): Promise<TreeDiff> {
  const parts: string[] = [];
  const notShown: NotShown[] = [];
  const atBase = new Set(changes.flatMap(({ before }) => before?.sha256 ?? []));
  let length = 0;
  let unnamed = 0;
  for (const change of changes) {
    signal?.throwIfAborted();
    if (length > MAX_NAMED) {
      unnamed += 1;
      notShown.push({ path: change.path, reason: 'large', atBase: atBase.has(change.after?.sha256 ?? '') });
      continue;
    }
    const body: Body = length > MAX_TEXT ? { problem: 'large' } : await bodyOf(base, tree, change, signal);
    let part = header(change);
    if (body.problem) {
      notShown.push({ path: change.path, reason: body.problem, atBase: atBase.has(change.after?.sha256 ?? '') });
      part += summary(change, body.problem === 'binary' ? 'Binary files differ' : 'Too large to show');
    } else part += body.text;
    parts.push(part);
    length += part.length;
    await new Promise(setImmediate);
  }
  if (unnamed > 0) parts.push(`${unnamed} more changed files are not named here.\n`);
  return { text: parts.join(''), files: changes.map(asChange), contentHash: contentHash(changes), notShown, traps };
}

type Body = { text: string; problem?: undefined } | { problem: 'binary' | 'large' };

async function bodyOf(
  base: RecordedContent,
  tree: RecordedContent,
  change: Difference,
  signal: AbortSignal | undefined,
): Promise<Body> {
  if (change.before && change.after && change.before.sha256 === change.after.sha256) return { text: '' };
  const before = await textOf(base, change.path, change.before);
  const after = await textOf(tree, change.path, change.after);
  if (before.problem) return before;
  if (after.problem) return after;
  // The bytes differ and the text does not: another encoding, which no line can show.
  if (before.text === after.text && change.before && change.after) return { problem: 'binary' };
  const lines = [
    `--- ${change.before === null ? '/dev/null' : shownPath(`a/${change.path}`)}`,
    `+++ ${change.after === null ? '/dev/null' : shownPath(`b/${change.path}`)}`,
  ];
  const texts = { before: before.text, after: after.text };
  const isWhole = texts.before === '' || texts.after === '';
  const hunks = isWhole ? wholeHunk(texts.before, texts.after) : await runTreeJob('hunks', texts, signal);
  return { text: `${[...lines, ...hunks].join('\n')}\n` };
}

function header({ path, before, after }: Difference): string {
  const mode = { file: '100644', executable: '100755', link: '120000' };
  let text = `diff --git ${shownPath(`a/${path}`)} ${shownPath(`b/${path}`)}\n`;
  if (before === null && after !== null) text += `new file mode ${mode[after.type]}\n`;
  else if (after === null && before !== null) text += `deleted file mode ${mode[before.type]}\n`;
  else if (before && after && before.type !== after.type)
    text += `old mode ${mode[before.type]}\nnew mode ${mode[after.type]}\n`;
  return text;
}

function summary({ before, after }: Difference, what: string): string {
  const of = (record: FileRecord | null): string =>
    record ? `${record.size} bytes, sha256 ${record.sha256}` : 'nothing';
  return `${what}: ${of(before)} -> ${of(after)}\n`;
}

async function textOf(content: RecordedContent, path: string, record: FileRecord | null): Promise<Body> {
  if (record === null) return { text: '' };
  if (record.size > MAX_FILE_BYTES) return { problem: 'large' };
  const text = decodedText(await content.read(path, record));
  return text === null ? { problem: 'binary' } : { text };
}
