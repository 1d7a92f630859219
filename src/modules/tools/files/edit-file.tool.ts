import { z } from 'zod';
import { inDirectory } from '../boundary/directory.js';
import { PathRefusedError } from '../boundary/path-refused.js';
import { AgentTool } from '../agent-tool.js';
import type { ToolContext } from '../tool.js';
import { editPassage } from './edit-passage.js';
import { FileTool, splitPath } from './file-tool.js';
import { decodeText } from './text-encoding.js';

const MAX_BYTES = 4 * 1024 * 1024;

const schema = z.strictObject({
  path: z.string().describe('File, relative to the root'),
  old: z.string().min(1).max(MAX_BYTES).describe('Text to replace, exactly as it stands in the file; must occur once'),
  new: z.string().max(MAX_BYTES).describe('What to put in its place'),
});

/**
 * Replaces one passage; the file keeps its encoding and its kinds of line ends and white space. Repeating an edit whose outcome is unknown changes nothing more: where the new text stands
 * already, the tool says so and leaves the file alone.
 */
@AgentTool()
export class EditFileTool extends FileTool<typeof schema> {
  readonly name = 'edit_file';
  readonly description = 'Replaces a passage of a text file. The old text must occur exactly once.';
  readonly schema = schema;
  override readonly writes = true;

  protected async work(args: z.output<typeof schema>, context: ToolContext): Promise<string> {
    const { root, segments } = this.places.toWrite(args.path, context);
    const { folder, name } = splitPath(segments);
    return FileTool.writers.take(root, () =>
      inDirectory(root, folder, async (directory) => {
        context.signal.throwIfAborted();
        const read = await directory.readFile(name, MAX_BYTES);
        if (read === null) throw new PathRefusedError(`"${name}" is larger than ${MAX_BYTES} bytes.`);
        const source = decodeText(read.content, name);
        const edited = edit(source.text, args.old, args.new);
        if (edited === null) return `${segments.join('/')} holds the new text already; nothing was changed.`;
        await directory.replaceFile(name, {
          content: source.encode(edited),
          onlyName: true,
          check: (present) => {
            context.signal.throwIfAborted();
            if (present?.ino !== read.stat.ino || present.ctimeMs !== read.stat.ctimeMs) {
              throw new PathRefusedError(`"${name}" was changed by something else meanwhile; read it again.`);
            }
          },
        });
        return `Edited ${segments.join('/')}.`;
      }),
    );
  }
}

/**
 * `text` with the one passage that reads as `before` replaced; null when it is already. See `editPassage` for what reads alike.
 * @throws PathRefusedError when `before` occurs never, or more than once.
 */
export function edit(text: string, before: string, after: string): string | null {
  if (before === after) throw new PathRefusedError('The old and the new text are the same.');
  const edited = editPassage(text, before, after);
  if ('text' in edited) return edited.text;
  if (edited.refused === 'present') return null;
  if (edited.refused === 'often') {
    throw new PathRefusedError('The old text occurs more than once; give more of what is around it.');
  }
  const hint = before.includes('\ufffd') ? ' What reads as \ufffd is a byte that is no text; leave it out.' : '';
  throw new PathRefusedError(`The old text does not occur in the file.${hint}`);
}
