import { z } from 'zod';
import { inDirectory } from '../boundary/directory.js';
import { PathRefusedError } from '../boundary/path-refused.js';
import { AgentTool } from '../agent-tool.js';
import type { ToolContext } from '../tool.js';
import { FileTool, splitPath } from './file-tool.js';

const MAX_BYTES = 4 * 1024 * 1024;

const schema = z.strictObject({
  path: z.string().describe('File, relative to the root'),
  content: z.string().max(MAX_BYTES).describe('The whole new content'),
});

@AgentTool()
export class WriteFileTool extends FileTool<typeof schema> {
  readonly name = 'write_file';
  readonly description = 'Creates a file or replaces its whole content. Missing folders are made.';
  readonly schema = schema;
  override readonly writes = true;

  protected async work(args: z.output<typeof schema>, context: ToolContext): Promise<string> {
    const { root, segments } = this.places.toWrite(args.path, context);
    const { folder, name } = splitPath(segments);
    const content = Buffer.from(args.content);
    if (content.length > MAX_BYTES) throw new PathRefusedError(`The content is larger than ${MAX_BYTES} bytes.`);
    await FileTool.writers.take(root, () =>
      inDirectory(
        root,
        folder,
        (directory) => {
          context.signal.throwIfAborted();
          return directory.replaceFile(name, { content, onlyName: true, check: () => context.signal.throwIfAborted() });
        },
        { create: true },
      ),
    );
    return `Wrote ${content.length} bytes to ${segments.join('/')}.`;
  }
}
