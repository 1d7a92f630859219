import { RE2JS } from 're2js';
import { z } from 'zod';
import { inDirectory, type Directory } from '../boundary/directory.js';
import { PathRefusedError } from '../boundary/path-refused.js';
import { shownPath } from '../boundary/shown-path.js';
import { AgentTool } from '../agent-tool.js';
import type { ToolContext } from '../tool.js';
import { FileTool } from './file-tool.js';
import { globTest } from './glob.js';
import { NameList, withNotes } from './notes.js';
import { describeEncoding, encodingOf, noText } from './text-encoding.js';
import { textLines } from './text-lines.js';

const MAX_MATCHES = 200;
const MAX_FILE_BYTES = 8 * 1024 * 1024;
const MAX_DEPTH = 32;
const SHOWN_LINE = 300;
/** Of it, what stands before a match. */
const SHOWN_BEFORE = 100;
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
    'binary and very large files, links, .git and node_modules are passed over.';
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
      return search.file(directory, segments, true);
    });
    return search.result();
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
  private readonly matches: string[] = [];
  private stopped: string | null = null;
  private readonly tooLarge = new NameList();
  private readonly unreadable = new NameList();
  private readonly tooDeep = new NameList();
  private readonly longLines = new NameList();
  private unnameable = 0;
  /** Files with matches, by what has to be said of their encoding. */
  private readonly encoded = new Map<string, NameList>();
  private readonly deadline = performance.now() + SEARCH_MS;
  private lastYield = performance.now();

  constructor(
    private readonly pattern: RE2JS,
    private readonly wanted: (path: string) => boolean,
    private readonly signal: AbortSignal,
  ) {}

  /** The matches, or that there are none, and all that was not searched. */
  result(): string {
    const unsearched = [
      this.tooLarge.note(`not searched, larger than ${MAX_FILE_BYTES} bytes`),
      this.unreadable.note('not searched, could not be read'),
      this.tooDeep.note('not entered, nested too deeply'),
      this.unnameable === 0 ? null : `not searched, names that are not UTF-8: ${this.unnameable}`,
      this.longLines.note(`long lines, searched in their first ${MAX_LINE_BYTES} bytes only`),
    ].filter((note) => note !== null);
    const found =
      this.matches.length > 0
        ? this.matches.join('\n')
        : this.stopped !== null
          ? 'No match before the search stopped.'
          : unsearched.length > 0
            ? 'No match in what was searched.'
            : 'No match.';
    return withNotes(found, [
      ...[...this.encoded].map(([encoding, names]) => names.note(encoding)),
      ...unsearched,
      this.stopped === null ? null : `stopped: ${this.stopped}`,
    ]);
  }

  async folder(directory: Directory, at: readonly string[], depth: number): Promise<void> {
    for await (const entry of directory.entries(() => (this.unnameable += 1))) {
      if (this.isOver()) return;
      const path = [...at, entry.name];
      if (entry.isFile()) {
        if (this.wanted(path.join('/'))) await this.file(directory, path);
      } else if (entry.isDirectory() && !NOT_ENTERED.has(entry.name)) {
        if (depth >= MAX_DEPTH) {
          this.tooDeep.add(path.join('/'));
          continue;
        }
        const inner = await directory.directoryOrNull(entry.name);
        try {
          if (inner === null) this.unreadable.add(path.join('/'));
          else await this.folder(inner, path, depth + 1);
        } finally {
          await inner?.close();
        }
      }
    }
  }

  /**
   * Searches the file that the last component of `path` names in `directory`. What cannot be searched is passed over.
   * @throws PathRefusedError for that, when the file is `asked` for by its name.
   */
  async file(directory: Directory, path: readonly string[], asked = false): Promise<void> {
    const named = path.join('/');
    const opened = await directory.file(path.at(-1) ?? '').catch((error: unknown) => {
      if (error instanceof PathRefusedError && !asked) return null;
      throw error;
    });
    if (opened === null) return this.unreadable.add(named);
    try {
      if (opened.stat.size > MAX_FILE_BYTES) {
        if (asked) throw new PathRefusedError(`"${named}" is larger than ${MAX_FILE_BYTES} bytes.`);
        return this.tooLarge.add(named);
      }
      const encoding = await encodingOf(opened.handle);
      if (encoding === null) {
        if (asked) throw new PathRefusedError(noText(named));
        return;
      }
      const before = this.matches.length;
      for await (const { number, text: line, cut } of textLines(opened.handle, encoding, MAX_LINE_BYTES, this.signal)) {
        const text = line.endsWith('\r') ? line.slice(0, -1) : line;
        if (cut) this.longLines.add(`${named}:${number}`);
        if (this.pattern.test(text)) this.add(`${shownPath(named)}:${number}: ${this.shown(text, cut)}`);
        if (this.isOver()) break;
        if (performance.now() - this.lastYield > YIELD_MS) {
          await new Promise(setImmediate);
          this.lastYield = performance.now();
        }
      }
      if (this.matches.length > before) this.note(describeEncoding(encoding), named);
    } finally {
      await opened.handle.close();
    }
  }

  private note(encoding: string | null, path: string): void {
    if (encoding === null) return;
    const names = this.encoded.get(encoding) ?? new NameList();
    this.encoded.set(encoding, names);
    names.add(path);
  }

  /** A matching line; of a long one, what is around the match. */
  private shown(line: string, cut: boolean): string {
    const text = line.trim();
    if (text.length <= SHOWN_LINE) return cut ? `${text}…` : text;
    const matcher = this.pattern.matcher(text);
    const from = matcher.find() ? Math.max(0, Math.min(matcher.start() - SHOWN_BEFORE, text.length - SHOWN_LINE)) : 0;
    const goesOn = cut || from + SHOWN_LINE < text.length;
    return `${from > 0 ? '…' : ''}${text.slice(from, from + SHOWN_LINE)}${goesOn ? '…' : ''}`;
  }

  private add(match: string): void {
    if (this.matches.length < MAX_MATCHES) this.matches.push(match);
    else this.stopped = `more than ${MAX_MATCHES} matches, narrow the search`;
  }

  private isOver(): boolean {
    this.signal.throwIfAborted();
    if (this.stopped === null && performance.now() > this.deadline) this.stopped = 'out of time, narrow the search';
    return this.stopped !== null;
  }
}
