const NEWLINE = 0x0a;
const HEAD_BYTES = 512;
const TAIL_BYTES = 512;

/** A line that was too long: of its bytes only both ends were kept. */
export interface CutLine {
  readonly head: string;
  readonly tail: string;
  readonly bytes: number;
  /** False for a line that went on. */
  readonly ended: boolean;
}

/** How many times longer than a line may be it becomes before it is not waited for any more. */
const PATIENCE = 8;

/**
 * Makes lines of chunks. A line longer than `maxBytes` is not kept in memory; its ends are reported when it ends, or when it
 * has become eight times as long.
 */
export class LineReader {
  private parts: Buffer[] = [];
  private size = 0;
  private tail = Buffer.alloc(0);
  private head: Buffer | null = null;
  private reported = false;

  constructor(
    private readonly maxBytes: number,
    private readonly onLine: (line: string) => void,
    private readonly onCut: (line: CutLine) => void,
  ) {}

  push(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      this.add(chunk.subarray(start, end));
      this.finish();
      start = end + 1;
    }
    this.add(chunk.subarray(start));
  }

  private add(bytes: Buffer): void {
    this.size += bytes.length;
    if (this.head !== null) {
      this.tail = Buffer.concat([this.tail, bytes.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES);
      if (this.size > PATIENCE * this.maxBytes) this.report(this.head, false);
      return;
    }
    this.parts.push(bytes);
    if (this.size <= this.maxBytes) return;
    const all = Buffer.concat(this.parts);
    this.head = Buffer.from(all.subarray(0, HEAD_BYTES));
    this.tail = Buffer.from(all.subarray(-TAIL_BYTES));
    this.parts = [];
  }

  private finish(): void {
    const { head, parts } = this;
    if (head !== null) this.report(head, true);
    this.parts = [];
    this.size = 0;
    this.head = null;
    this.tail = Buffer.alloc(0);
    this.reported = false;
    if (head === null) this.onLine(Buffer.concat(parts).toString('utf8'));
  }

  private report(head: Buffer, ended: boolean): void {
    if (this.reported) return;
    this.reported = true;
    this.onCut({ head: head.toString('utf8'), tail: this.tail.toString('utf8'), bytes: this.size, ended });
  }
}
