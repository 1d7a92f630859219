import type { TaskOutput } from '../store/transition.js';

/**
 * A result as one text: its output, then its explanation, the files changed and the commands run as sections of Markdown.
 * Sections without content are left out, so a result that is only an output is that output, byte for byte. A fence that a part
 * leaves open is closed before the next one.
 */
export function outputText(result: TaskOutput): string {
  return [
    result.output,
    section('Explanation', result.explanation),
    section('Files changed', list(result.files_changed)),
    section('Commands run', list(result.commands_run)),
  ]
    .filter((part) => part !== '')
    .map((part, index, parts) => (index === parts.length - 1 ? part : closed(part)))
    .join('\n\n');
}

/** `text` with the code fence closed that it leaves open. */
function closed(text: string): string {
  let open: string | null = null;
  for (const line of text.split(/\r\n|\r|\n/)) {
    const [, fence, info = ''] = /^ {0,3}(`{3,}|~{3,})(.*)$/.exec(line) ?? [];
    if (fence === undefined) continue;
    if (open === null) open = fence.startsWith('`') && info.includes('`') ? null : fence;
    else if (fence.startsWith(open) && info.trim() === '') open = null;
  }
  return open === null ? text : `${text}\n${open}`;
}

function section(title: string, content: string): string {
  return content === '' ? '' : `## ${title}\n\n${content}`;
}

function list(items: readonly string[]): string {
  return items.map((item) => `- ${verbatim(item)}`).join('\n');
}

/** `text` as Markdown shows it unchanged: as code, in a fence that is longer than any in it. */
function verbatim(text: string): string {
  const longest = Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  if (/[\r\n]/.test(text)) {
    const fence = '`'.repeat(Math.max(3, longest + 1));
    return [fence, ...text.split(/\r\n|\r|\n/), fence].join('\n  ');
  }
  const fence = '`'.repeat(longest + 1);
  // Markdown takes one space off each side, so that code may begin or end with the fence's own character.
  const padding = /^`|`$|^ .* $/.test(text) ? ' ' : '';
  return `${fence}${padding}${text}${padding}${fence}`;
}
