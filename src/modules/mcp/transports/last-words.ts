/** Lines of a standard error that are remembered. */
const KEPT = 40;
/** Of these the newest are looked through for the cause. */
const WINDOW = 12;
const SAID = 3;

/** Lines that follow upon a cause and do not tell it: frames, source excerpts, rulers, versions, hints. */
const TRAILER = [
  /^at\s/,
  /^Node\.js v\d/,
  /^(?:Bun|Deno) v?\d/,
  /^[\^~\s|]+$/,
  /^[{}()[\],;\s]+$/,
  /^goroutine \d+ \[/,
  /\+0x[0-9a-f]+$/,
  /^exit status \d+$/,
  /^note: (?:run|some details)/,
  /^npm (?:error|ERR!) A complete log/,
  /^npm (?:error|ERR!)\s*(?:\S+\.log)?$/,
  /^npm notice/,
  /^Traceback \(most recent/,
  /^File ".*", line \d+/,
  /^\.\.\. \d+ more$/,
  /^\d+: .{0,200}$/,
  /^stack backtrace:/,
  /^(?:code|errno|syscall|path|url|requireStack|generatedMessage|spawnargs|info|address|port): .{0,200}$/,
  /^(?:throw|raise)\b/,
  /^(?:file:\/\/|\/|node:|[A-Z]:\\)\S+:\d+(?::\d+)?$/,
];
/** How a cause begins, and words that a cause has. */
const STRONG = /\b\w*(?:error|exception)\b[^:]{0,60}:|^npm (?:error|ERR!)|\bpanic(?:ked)?\b|\bfatal\b|\bcaused by:/i;
const WEAK = /\b(?:error|fail(?:ed|ure)?|cannot|can't|unable|not found|denied|refused|invalid|missing|required)\b/i;

/** What a program said before it ended, of its standard error. */
export class LastWords {
  private lines: string[] = [];

  add(line: string): void {
    const said = line.trim();
    if (said === '') return;
    this.lines.push(said);
    if (this.lines.length > KEPT) this.lines = this.lines.slice(-KEPT / 2);
  }

  /**
   * The line that tells the cause and at most two behind it, or the last line where none does; without what only follows
   * upon a cause, as the frames of a stack. Secrets included.
   */
  get text(): string {
    const telling = this.lines.filter((line) => !TRAILER.some((pattern) => pattern.test(line)));
    if (telling.length === 0) return this.lines.at(-1) ?? '';
    const newest = telling.slice(-WINDOW);
    let cause = newest.findLastIndex((line) => STRONG.test(line));
    while (cause > 0 && STRONG.test(newest[cause - 1] ?? '')) cause -= 1;
    if (cause === -1) cause = newest.findLastIndex((line) => WEAK.test(line));
    return (cause === -1 ? newest.slice(-1) : newest.slice(cause, cause + SAID)).join('\n');
  }
}
