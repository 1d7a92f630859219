import { z } from 'zod';
import { ThreadPool } from '../../../platform/threads/index.js';
import { inDirectory, type Directory } from '../boundary/directory.js';
import { PathRefusedError } from '../boundary/path-refused.js';
import { shownPath } from '../boundary/shown-path.js';
import { AgentTool } from '../agent-tool.js';
import type { ToolContext } from '../tool.js';
import { FileTool } from './file-tool.js';
import { globTest } from './glob.js';
import { NameList, withNotes } from './notes.js';
import { describeEncoding, encodingOf, noText } from './text-encoding.js';
import type * as worker from './line-search.worker.js';
import type { Pattern } from './line-search.worker.js';
import { textLines, type TextLine } from './text-lines.js';

const MAX_MATCHES = 200;
const MAX_FILE_BYTES = 8 * 1024 * 1024;
const MAX_DEPTH = 32;
const SHOWN_LINE = 300;
/** Of it, what stands before a match. */
const SHOWN_BEFORE = 100;
const SEARCH_MS = 20_000;
const NOT_ENTERED = new Set(['.git', 'node_modules']);

/** Of a line, what is searched; it bounds the time of one line, with the size of the compiled pattern. */
const MAX_LINE_BYTES = 2_048;
/** Lines, and characters of them, that go to a thread at once. */
const BATCH_LINES = 2_000;
const BATCH_CHARACTERS = 128 * 1024;

const threads = new ThreadPool<Pick<typeof worker, 'refuse' | 'matching'>>(import.meta.url, 'line-search.worker.js');

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
    const pattern = { source: args.pattern, caseSensitive: args.case_sensitive ?? false };
    const refused = await threads.run('refuse', pattern, context.signal);
    if (refused !== null) throw new PathRefusedError(refused);
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

class Search {
  private readonly matches: string[] = [];
  private stopped: string | null = null;
  private readonly tooLarge = new NameList();
  private readonly unreadable = new NameList();
  private readonly noText = new NameList();
  private readonly tooDeep = new NameList();
  private readonly longLines = new NameList();
  private unnameable = 0;
  /** Files with matches, by what has to be said of their encoding. */
  private readonly encoded = new Map<string, NameList>();
  private readonly deadline = AbortSignal.timeout(SEARCH_MS);

  constructor(
    private readonly pattern: Pattern,
    private readonly wanted: (path: string) => boolean,
    private readonly signal: AbortSignal,
  ) {}

  /** The matches, or that there are none, and all that was not searched. */
  result(): string {
    const unsearched = [
      this.tooLarge.note(`not searched, larger than ${MAX_FILE_BYTES} bytes`),
      this.unreadable.note('not searched, could not be read'),
      this.noText.note('not searched, binary or in an unknown encoding'),
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
        return this.noText.add(named);
      }
      const before = this.matches.length;
      let batch: TextLine[] = [];
      let characters = 0;
      for await (const line of textLines(opened.handle, encoding, MAX_LINE_BYTES, this.signal)) {
        batch.push(line);
        characters += line.text.length;
        if (batch.length < BATCH_LINES && characters < BATCH_CHARACTERS) continue;
        await this.lines(named, batch);
        batch = [];
        characters = 0;
        if (this.isOver()) break;
      }
      if (!this.isOver()) await this.lines(named, batch);
      if (this.matches.length > before) this.note(describeEncoding(encoding), named);
    } finally {
      await opened.handle.close();
    }
  }

  /** Searches some lines of the file `named` in another thread, which stops at the deadline. */
  private async lines(named: string, batch: readonly TextLine[]): Promise<void> {
    if (batch.length === 0) return;
    const lines = batch.map(({ text }) => (text.endsWith('\r') ? text.slice(0, -1) : text));
    for (const { number, cut } of batch) if (cut) this.longLines.add(`${named}:${number}`);
    const order = { pattern: this.pattern, lines, most: MAX_MATCHES + 1 - this.matches.length };
    const found = await threads
      .run('matching', order, AbortSignal.any([this.signal, this.deadline]))
      .catch((error: unknown) => {
        this.signal.throwIfAborted();
        if (this.deadline.aborted) return [];
        throw error;
      });
    for (const { line, start } of found) {
      const { number, cut } = batch[line] as TextLine;
      this.add(`${shownPath(named)}:${number}: ${shown(lines[line] ?? '', start, cut)}`);
    }
  }

  private note(encoding: string | null, path: string): void {
    if (encoding === null) return;
    const names = this.encoded.get(encoding) ?? new NameList();
    this.encoded.set(encoding, names);
    names.add(path);
  }

  private add(match: string): void {
    if (this.matches.length < MAX_MATCHES) this.matches.push(match);
    else this.stopped = `more than ${MAX_MATCHES} matches, narrow the search`;
  }

  private isOver(): boolean {
    this.signal.throwIfAborted();
    if (this.stopped === null && this.deadline.aborted) this.stopped = 'out of time, narrow the search';
    return this.stopped !== null;
  }
}

/** A matching line; of a long one, what is around the match, which begins at `start` of it without its margins. */
function shown(line: string, start: number, cut: boolean): string {
  const text = line.trim();
  if (text.length <= SHOWN_LINE) return cut ? `${text}…` : text;
  const from = Math.max(0, Math.min(start - SHOWN_BEFORE, text.length - SHOWN_LINE));
  const goesOn = cut || from + SHOWN_LINE < text.length;
  return `${from > 0 ? '…' : ''}${text.slice(from, from + SHOWN_LINE)}${goesOn ? '…' : ''}`;
}
