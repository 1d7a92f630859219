/** The lines that a diff adds to one file, joined, and the number that each has there. */
export interface AddedText {
  path: string;
  text: string;
  lines: number[];
  /** Where in the diff each of them stands: from its sign to its end. */
  spans: { start: number; end: number }[];
}

export interface DiffContent {
  added: AddedText[];
  /** Lines taken out, joined. */
  removed: string;
  /** Everything that is not content: headers, file names, summaries, and whatever is no diff at all. */
  rest: string;
}

const HUNK = /^@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/;

/**
 * Reads a unified diff. A hunk is as long as its header says, so content that looks like a header stays content; a line that
 * fits nowhere ends in `rest`, so that nothing is lost.
 */
export function readDiff(diff: string): DiffContent {
  const added: AddedText[] = [];
  const removed: string[] = [];
  const rest: string[] = [];
  let path = '';
  let oldLeft = 0;
  let newLeft = 0;
  let line = 0;
  let rows: string[] = [];
  let lines: number[] = [];
  let spans: AddedText['spans'] = [];
  let end = -1;
  const closeFile = (): void => {
    if (rows.length > 0) added.push({ path, text: rows.join('\n'), lines, spans });
    rows = [];
    lines = [];
    spans = [];
  };
  for (const row of diff.split('\n')) {
    const sign = row[0];
    const start = end + 1;
    end = start + row.length;
    if (newLeft > 0 && sign === '+') {
      rows.push(row.slice(1));
      lines.push(line);
      spans.push({ start, end });
      line += 1;
      newLeft -= 1;
    } else if (oldLeft > 0 && sign === '-') {
      removed.push(row.slice(1));
      oldLeft -= 1;
    } else if (newLeft > 0 && oldLeft > 0 && (sign === ' ' || row === '')) {
      line += 1;
      newLeft -= 1;
      oldLeft -= 1;
    } else if (sign !== '\\') {
      const hunk = HUNK.exec(row);
      oldLeft = hunk ? Number(hunk[1] ?? 1) : 0;
      newLeft = hunk ? Number(hunk[3] ?? 1) : 0;
      line = hunk ? Number(hunk[2]) : 0;
      if (hunk !== null) continue;
      if (row.startsWith('+++ ')) {
        closeFile();
        path = pathOf(row.slice(4));
      }
      rest.push(row);
    }
  }
  closeFile();
  return { added, removed: removed.join('\n'), rest: rest.join('\n') };
}

function pathOf(name: string): string {
  const plain = name.replace(/\t.*$/, '').replace(/^"(.*)"$/, '$1');
  return plain.startsWith('b/') ? plain.slice(2) : plain;
}
