import { z } from 'zod';
import { inDirectory, type Directory } from '../boundary/directory.js';
import { AgentTool } from '../agent-tool.js';
import type { ToolContext } from '../tool.js';
import { FileTool } from './file-tool.js';

const MAX_ENTRIES = 1_000;
const MAX_DEPTH = 16;
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
    let cut = false;
    const list = async (directory: Directory, prefix: string, depth: number): Promise<void> => {
      for await (const entry of directory.entries()) {
        context.signal.throwIfAborted();
        if (lines.length >= MAX_ENTRIES) {
          cut = true;
          return;
        }
        const path = `${prefix}${entry.name}`;
        if (context.shows?.([...segments, path].join('/')) === false) continue;
        if (entry.isDirectory()) {
          lines.push(`${path}/`);
          if (!args.recursive || NOT_ENTERED.has(entry.name)) continue;
          if (depth >= MAX_DEPTH) {
            cut = true;
            continue;
          }
          const inner = await directory.directoryOrNull(entry.name);
          if (inner === null) continue;
          try {
            await list(inner, `${path}/`, depth + 1);
          } finally {
            await inner.close();
          }
        } else if (entry.isSymbolicLink()) lines.push(`${path} (symbolic link)`);
        else if (entry.isFile()) lines.push(`${path} (${(await directory.stat(entry.name))?.size ?? '?'} bytes)`);
        else lines.push(`${path} (not a regular file)`);
      }
    };
    await inDirectory(root, segments, (directory) => list(directory, '', 0));
    lines.sort();
    if (lines.length === 0) return 'The folder is empty.';
    return cut ? `${lines.join('\n')}\n[… not all of it: list a folder below instead …]` : lines.join('\n');
  }
}
