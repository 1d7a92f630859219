/** Puts together messages that a server writes over several lines, from a line that is `{` to the next one that is `}`. */
export class SpreadMessage {
  private lines: string[] | null = null;
  private bytes = 0;

  constructor(private readonly mostBytes: number) {}

  /** The whole message that `line` ends; null while it goes on, and for a line that belongs to none. */
  add(line: string): string | null {
    const bare = line.trimEnd();
    if (this.lines === null) {
      if (bare === '{') this.begin(line);
      return null;
    }
    this.lines.push(line);
    this.bytes += line.length;
    if (bare !== '}') {
      if (this.bytes > this.mostBytes) this.lines = null;
      return null;
    }
    const message = this.lines.join('\n');
    this.lines = null;
    return message;
  }

  private begin(line: string): void {
    this.lines = [line];
    this.bytes = line.length;
  }
}
