import { z } from 'zod';
import { inDirectory, type Directory } from '../boundary/directory.js';
import { PathRefusedError } from '../boundary/path-refused.js';
import { shownPath } from '../boundary/shown-path.js';
import { AgentTool } from '../agent-tool.js';
import type { ToolContext } from '../tool.js';
import { FileTool, splitPath } from './file-tool.js';
import { decodeText, type EncodedText } from './text-encoding.js';

const MAX_BYTES = 4 * 1024 * 1024;

const schema = z.strictObject({
  path: z.string().describe('File, relative to the root'),
  content: z.string().max(MAX_BYTES).describe('The whole new content'),
});

@AgentTool()
export class WriteFileTool extends FileTool<typeof schema> {
  readonly name = 'write_file';
  readonly description =
    'Creates a file or replaces its whole content, in its encoding and with its line ends. Missing folders are made.';
  readonly schema = schema;
  override readonly writes = true;

  protected async work(args: z.output<typeof schema>, context: ToolContext): Promise<string> {
    const { root, segments } = this.places.toWrite(args.path, context);
    const { folder, name } = splitPath(segments);
    const { content, kept } = await FileTool.writers.take(root, () =>
      inDirectory(
        root,
        folder,
        async (directory) => {
          context.signal.throwIfAborted();
          const written = inFormOf(await present(directory, name), args.content);
          if (written.content.length > MAX_BYTES)
            throw new PathRefusedError(`The content is larger than ${MAX_BYTES} bytes.`);
          await directory.replaceFile(name, {
            content: written.content,
            onlyName: true,
            check: () => context.signal.throwIfAborted(),
          });
          return written;
        },
        { create: true },
      ),
    );
    const form = kept.length === 0 ? '' : `, with what the file had before: ${kept.join(', ')}`;
    return `Wrote ${content.length} bytes to ${shownPath(segments.join('/'))}${form}.`;
  }
}

/** The text that the file `name` holds; null where it holds none. */
async function present(directory: Directory, name: string): Promise<EncodedText | null> {
  if (!(await directory.stat(name))?.isFile()) return null;
  try {
    const read = await directory.readFile(name, MAX_BYTES);
    return read === null ? null : decodeText(read.content, name);
  } catch (error) {
    if (error instanceof PathRefusedError) return null;
    throw error;
  }
}

/**
 * The bytes of `text` as `before` writes text: its byte order mark, its encoding where that has all characters, and CRLF where it
 * has nothing else and `text` says nothing of it. Whoever reads a file is not shown these, so writing it anew does not mean
 * to change them.
 */
function inFormOf(before: EncodedText | null, text: string): { content: Buffer; kept: string[] } {
  if (before === null || before.text === '') return { content: Buffer.from(text), kept: [] };
  const kept: string[] = [];
  let written = text;
  if (/\r\n/.test(before.text) && !/(?<!\r)\n/.test(before.text) && text.includes('\n') && !text.includes('\r')) {
    written = written.replaceAll('\n', '\r\n');
    kept.push('CRLF at the ends of lines');
  }
  if (before.text.startsWith('\ufeff') && !written.startsWith('\ufeff')) {
    written = `\ufeff${written}`;
    kept.push('a byte order mark');
  }
  try {
    const content = before.encode(written);
    if (before.encoding !== 'UTF-8' && !content.equals(Buffer.from(written))) kept.push(before.encoding);
    return { content, kept };
  } catch (error) {
    if (!(error instanceof PathRefusedError)) throw error;
    return { content: Buffer.from(written), kept };
  }
}
