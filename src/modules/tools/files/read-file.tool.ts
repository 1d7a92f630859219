import { z } from 'zod';
import { inDirectory } from '../boundary/directory.js';
import { PathRefusedError } from '../boundary/path-refused.js';
import { AgentTool } from '../agent-tool.js';
import type { ToolContext } from '../tool.js';
import { FileTool, splitPath } from './file-tool.js';
import { withNotes } from './notes.js';
import { describeEncoding, encodingOf, noText } from './text-encoding.js';
import { textLines } from './text-lines.js';

/** Below the cap on results, so that where to go on stands in the result and is never cut off. */
const MAX_BYTES = 28 * 1024;
const MAX_LINES = 2_000;

const schema = z.strictObject({
  path: z.string().describe('File, relative to the root'),
  offset: z.int().min(1).optional().describe('First line to read, from 1'),
  limit: z.int().min(1).max(MAX_LINES).optional().describe('Number of lines'),
});

@AgentTool()
export class ReadFileTool extends FileTool<typeof schema> {
  readonly name = 'read_file';
  readonly description =
    'Reads a text file, UTF-16 too, or the lines from offset on. Says where to continue when it stops before the end.';
  readonly schema = schema;

  protected async work(args: z.output<typeof schema>, context: ToolContext): Promise<string> {
    const { root, segments } = this.places.toRead(args.path, context);
    const { folder, name } = splitPath(segments);
    return inDirectory(root, folder, async (directory) => {
      const { handle } = await directory.file(name);
      try {
        const encoding = await encodingOf(handle);
        if (encoding === null) throw new PathRefusedError(noText(args.path));
        const inEncoding = describeEncoding(encoding);
        const first = args.offset ?? 1;
        const limit = args.limit ?? MAX_LINES;
        const lines: string[] = [];
        let bytes = 0;
        let total = 0;
        for await (const line of textLines(handle, encoding, MAX_BYTES, context.signal)) {
          total = line.number;
          if (line.number < first) continue;
          const size = Buffer.byteLength(line.text) + 1;
          if (lines.length === limit || (lines.length > 0 && bytes + size > MAX_BYTES)) {
            const more = `more follows: continue with offset ${line.number}`;
            return withNotes(lines.join('\n'), [inEncoding, more]);
          }
          lines.push(line.cut ? `${line.text} [… the rest of this line is cut …]` : line.text);
          bytes += size;
        }
        if (lines.length > 0) return withNotes(lines.join('\n'), [inEncoding]);
        return total === 0 ? 'The file is empty.' : `The file has ${total} ${total === 1 ? 'line' : 'lines'}.`;
      } finally {
        await handle.close();
      }
    });
  }
}
