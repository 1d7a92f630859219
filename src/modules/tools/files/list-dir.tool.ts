import { z } from 'zod';
import { inDirectory, type Directory } from '../boundary/directory.js';
import { shownPath } from '../boundary/shown-path.js';
import { AgentTool } from '../agent-tool.js';
import type { ToolContext } from '../tool.js';
import { FileTool } from './file-tool.js';
import { NameList, withNotes } from './notes.js';

const MAX_ENTRIES = 1_000;
const MAX_DEPTH = 16;
const NARROWER = 'list a folder below, or find files with search_codebase and a file_glob';
const NOT_ENTERED = new Set(['.git', 'node_modules']);

const schema = z.strictObject({
  path: z.string().describe('Folder, relative to the root; "." is the root'),
  recursive: z.boolean().optional().describe('Also what is in its folders; .git and node_modules are not entered'),
});

@AgentTool()
export class ListDirTool extends FileTool<typeof schema> {
  readonly name = 'list_dir';
  readonly description = `Lists a folder: names, with / after folders and the size of files. At most ${MAX_ENTRIES} entries.`;
  readonly schema = schema;

  protected async work(args: z.output<typeof schema>, context: ToolContext): Promise<string> {
    const { root, segments } = this.places.toRead(args.path, context);
    const lines: string[] = [];
    const unentered = new NameList();
    let [full, hidden, unnameable] = [false, 0, 0];
    const list = async (directory: Directory, prefix: string, depth: number): Promise<void> => {
      for await (const entry of directory.entries(() => (unnameable += 1))) {
        context.signal.throwIfAborted();
        const path = `${prefix}${entry.name}`;
        const shown = shownPath(path);
        if (context.shows?.([...segments, path].join('/')) === false) {
          hidden += 1;
          continue;
        }
        if (lines.length >= MAX_ENTRIES) {
          full = true;
          return;
        }
        if (entry.isDirectory()) {
          lines.push(`${shown}/`);
          if (!args.recursive || NOT_ENTERED.has(entry.name)) continue;
          const inner = depth < MAX_DEPTH ? await directory.directoryOrNull(entry.name) : null;
          if (inner === null) {
            unentered.add(path);
            continue;
          }
          try {
            await list(inner, `${path}/`, depth + 1);
          } finally {
            await inner.close();
          }
          if (full) return;
        } else if (entry.isSymbolicLink()) lines.push(`${shown} (symbolic link)`);
        else if (entry.isFile()) lines.push(`${shown} (${(await directory.stat(entry.name))?.size ?? '?'} bytes)`);
        else lines.push(`${shown} (not a regular file)`);
      }
    };
    await inDirectory(root, segments, (directory) => list(directory, '', 0));
    lines.sort();
    const nothing =
      hidden > 0 ? 'The folder holds only what the repository ignores.' : 'The folder holds nothing that can be shown.';
    const isEmpty = hidden + unnameable === 0;
    return withNotes(lines.length > 0 ? lines.join('\n') : isEmpty ? 'The folder is empty.' : nothing, [
      full ? `not all of it: these are ${MAX_ENTRIES} of more entries, picked in no order; ${NARROWER}` : null,
      unentered.note('not all of it, these could not be entered or are nested too deeply'),
      unnameable > 0 ? `not shown, names that are not UTF-8: ${unnameable}` : null,
    ]);
  }
}
