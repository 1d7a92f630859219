import { RE2JS } from 're2js';
import { z } from 'zod';
import { inDirectory, type Directory } from '../boundary/directory.js';
import { PathRefusedError } from '../boundary/path-refused.js';
import { AgentTool } from '../agent-tool.js';
import type { ToolContext } from '../tool.js';
import { FileTool } from './file-tool.js';
import { globTest } from './glob.js';
import { looksBinary, textLines } from './text-lines.js';

const MAX_MATCHES = 200;
const MAX_FILE_BYTES = 8 * 1024 * 1024;
const MAX_DEPTH = 32;
const SHOWN_LINE = 300;
const SEARCH_MS = 20_000;
const YIELD_MS = 20;
const NOT_ENTERED = new Set(['.git', 'node_modules']);

/**
 * Matching is linear in the line and in the compiled pattern, and runs on the event loop: these two bound one step to
 * about 40 ms, measured with patterns built to be slow.
 */
const MAX_LINE_BYTES = 2_048;
const MAX_PROGRAM = 1_100;

const schema = z.strictObject({
  pattern: z.string().min(1).max(1_000).describe('Regular expression in RE2 syntax'),
  path: z.string().optional().describe('Folder or file to search, relative to the root; default is all'),
  file_glob: z.string().min(1).optional().describe('Only files like this, for example *.ts or src/**/*.{js,ts}'),
  case_sensitive: z.boolean().optional().describe('Default false'),
});

@AgentTool()
export class SearchCodebaseTool extends FileTool<typeof schema> {
  readonly name = 'search_codebase';
  readonly description =
    `Searches text files for a regular expression, line by line: path:line: text. At most ${MAX_MATCHES} matches; ` +
    'binary and very large files, .git and node_modules are passed over.';
  readonly schema = schema;

  protected async work(args: z.output<typeof schema>, context: ToolContext): Promise<string> {
    const pattern = compile(args.pattern, args.case_sensitive ?? false);
    const globbed = args.file_glob === undefined ? () => true : globTest(args.file_glob);
    const wanted = (path: string): boolean => globbed(path) && context.shows?.(path) !== false;
    const { root, segments } = this.places.toRead(args.path ?? '.', context);
    const search = new Search(pattern, wanted, context.signal);
    const name = segments.at(-1);
    await inDirectory(root, segments.slice(0, -1), async (directory) => {
      if (name === undefined) return search.folder(directory, [], 0);
      if ((await directory.stat(name))?.isDirectory()) {
        const folder = await directory.directory(name);
        try {
          return await search.folder(folder, segments, 0);
        } finally {
          await folder.close();
        }
      }
      const { handle } = await directory.file(name);
      await handle.close();
      return search.file(directory, segments);
    });
    const found = search.matches.length === 0 ? 'No match.' : search.matches.join('\n');
    return search.stopped === null ? found : `${found}\n[… stopped: ${search.stopped} …]`;
  }
}

/** @throws PathRefusedError when the pattern is not valid, or too costly. */
function compile(source: string, caseSensitive: boolean): RE2JS {
  let pattern: RE2JS;
  try {
    pattern = RE2JS.compile(source, caseSensitive ? 0 : RE2JS.CASE_INSENSITIVE);
  } catch (error) {
    throw new PathRefusedError(`The pattern is not valid: ${error instanceof Error ? error.message : 'unreadable'}`, {
      cause: error,
    });
  }
  if (pattern.programSize() > MAX_PROGRAM)
    throw new PathRefusedError('The pattern is too large; use fewer or smaller repetitions.');
  return pattern;
}

class Search {
  readonly matches: string[] = [];
  stopped: string | null = null;
  private readonly deadline = performance.now() + SEARCH_MS;
  private lastYield = performance.now();

  constructor(
    private readonly pattern: RE2JS,
    private readonly wanted: (path: string) => boolean,
    private readonly signal: AbortSignal,
  ) {}

  async folder(directory: Directory, at: readonly string[], depth: number): Promise<void> {
    for await (const entry of directory.entries()) {
      if (this.isOver()) return;
      const path = [...at, entry.name];
      if (entry.isFile()) {
        if (this.wanted(path.join('/'))) await this.file(directory, path);
      } else if (entry.isDirectory() && !NOT_ENTERED.has(entry.name) && depth < MAX_DEPTH) {
        const inner = await directory.directoryOrNull(entry.name);
        try {
          if (inner !== null) await this.folder(inner, path, depth + 1);
        } finally {
          await inner?.close();
        }
      }
    }
  }

  /** Searches the file that the last component of `path` names in `directory`. What cannot be read is passed over. */
  async file(directory: Directory, path: readonly string[]): Promise<void> {
    const opened = await directory.file(path.at(-1) ?? '').catch((error: unknown) => {
      if (error instanceof PathRefusedError) return null;
      throw error;
    });
    if (opened === null) return;
    try {
      if (opened.stat.size > MAX_FILE_BYTES || (await looksBinary(opened.handle))) return;
      for await (const { number, text: line } of textLines(opened.handle, MAX_LINE_BYTES, this.signal)) {
        const text = line.endsWith('\r') ? line.slice(0, -1) : line;
        if (this.pattern.test(text)) this.add(`${path.join('/')}:${number}: ${text.trim().slice(0, SHOWN_LINE)}`);
        if (this.isOver()) return;
        if (performance.now() - this.lastYield > YIELD_MS) {
          await new Promise(setImmediate);
          this.lastYield = performance.now();
        }
      }
    } finally {
      await opened.handle.close();
    }
  }

  private add(match: string): void {
    this.matches.push(match);
    if (this.matches.length >= MAX_MATCHES) this.stopped = `more than ${MAX_MATCHES} matches, narrow the search`;
  }

  private isOver(): boolean {
    this.signal.throwIfAborted();
    if (this.stopped === null && performance.now() > this.deadline) this.stopped = 'out of time, narrow the search';
    return this.stopped !== null;
  }
}
