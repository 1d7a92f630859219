/** The beginning and the end of an output, whatever its length. */
export class OutputWindow {
  /** Bytes seen in all. */
  total = 0;
  private readonly head: Buffer[] = [];
  private headBytes = 0;
  private tail: Buffer[] = [];
  private tailBytes = 0;

  /** Keeps `size` bytes of either end. */
  constructor(private readonly size: number) {}

  add(chunk: Buffer): void {
    this.total += chunk.length;
    const first = chunk.subarray(0, Math.max(0, this.size - this.headBytes));
    if (first.length > 0) {
      this.head.push(first);
      this.headBytes += first.length;
    }
    const rest = chunk.subarray(first.length);
    if (rest.length === 0) return;
    this.tail.push(rest);
    this.tailBytes += rest.length;
    // Joined only now and then, so that many small chunks cost no more than one large one.
    if (this.tailBytes > this.size * 4) {
      this.tail = [Buffer.concat(this.tail).subarray(-this.size)];
      this.tailBytes = this.size;
    }
  }

  toString(): string {
    const tail = Buffer.concat(this.tail).subarray(-this.size);
    const cut = this.total - this.headBytes - tail.length;
    const head = Buffer.concat(this.head);
    if (cut === 0) return Buffer.concat([head, tail]).toString('utf8');
    return `${head.toString('utf8')}\n[… ${cut} bytes cut …]\n${tail.toString('utf8')}`;
  }
}
