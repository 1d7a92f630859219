import { structuredPatch, type StructuredPatchHunk } from 'diff';

/**
 * Edits up to which the least difference of one file is looked for: 1,500 take about 60 ms. A file that differs more is shown as
 * replaced from its first to its last line.
 */
const MAX_EDITS = 1_500;

/** The hunks of a unified diff between two texts, line by line. */
export function lineHunks({ before, after }: { before: string; after: string }): string[] {
  const patch = structuredPatch('', '', before, after, undefined, undefined, { context: 3, maxEditLength: MAX_EDITS });
  return (patch?.hunks ?? [replacement(before, after)]).flatMap(lines);
}

/** The same where one of the texts is empty, which costs no search for a least difference. */
export function wholeHunk(before: string, after: string): string[] {
  return before === after ? [] : lines(replacement(before, after));
}

function lines(hunk: StructuredPatchHunk): string[] {
  const { oldStart, oldLines, newStart, newLines } = hunk;
  return [`@@ -${range(oldStart, oldLines)} +${range(newStart, newLines)} @@`, ...hunk.lines];
}

/** One hunk that takes all of `before` out and puts all of `after` in. */
function replacement(before: string, after: string): StructuredPatchHunk {
  const side = (text: string, sign: string): string[] => {
    const lines = text.split('\n').map((line) => sign + line);
    if (lines.at(-1) === sign) lines.pop();
    else lines.push('\\ No newline at end of file');
    return lines;
  };
  const [taken, put] = [side(before, '-'), side(after, '+')];
  const count = (lines: string[]): number => lines.filter((line) => !line.startsWith('\\')).length;
  return { oldStart: 1, oldLines: count(taken), newStart: 1, newLines: count(put), lines: [...taken, ...put] };
}

/** A side without lines is named by the line before it. */
function range(start: number, lines: number): string {
  return `${lines === 0 ? start - 1 : start},${lines}`;
}
