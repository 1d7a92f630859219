import { storableText } from '../../../platform/database/index.js';

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

  /** The output as storable text: whole, or at most `size` bytes of UTF-8 of either end and how many bytes are cut between. */
  toString(): string {
    const head = Buffer.concat(this.head);
    const tail = Buffer.concat(this.tail).subarray(-this.size);
    if (this.total === head.length + tail.length) {
      const whole = textOf(Buffer.concat([head, tail]));
      if (Buffer.byteLength(whole) <= this.size * 2) return whole;
    }
    const [first, last] = [this.fitting(head, true), this.fitting(tail, false)];
    const cut = this.total - first.length - last.length;
    return `${textOf(first)}\n[… ${cut} bytes cut …]\n${textOf(last)}`;
  }

  /** As much of an end as is text of at most `size` bytes, without half a character where it is cut. */
  private fitting(end: Buffer, isHead: boolean): Buffer {
    const cutTo = (most: number): Buffer =>
      isHead ? wholeHead(end.subarray(0, most)) : wholeTail(end.subarray(-most));
    const whole = cutTo(this.size);
    // A byte that is no text takes three.
    return Buffer.byteLength(textOf(whole)) <= this.size ? whole : cutTo(Math.floor(this.size / 3));
  }
}

/** `bytes` without the half of a character that they end in. */
function wholeHead(bytes: Buffer): Buffer {
  let begin = bytes.length - 1;
  while (begin > bytes.length - 4 && isContinuation(bytes[begin])) begin -= 1;
  return bytes.length - begin < sequenceLength(bytes[begin] ?? 0) ? bytes.subarray(0, begin) : bytes;
}

/** `bytes` without the half of a character that they begin with. */
function wholeTail(bytes: Buffer): Buffer {
  let from = 0;
  while (from < 3 && isContinuation(bytes[from])) from += 1;
  return bytes.subarray(from);
}

function textOf(bytes: Buffer): string {
  return storableText(bytes.toString('utf8'));
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

/** Bytes of the character that begins with `byte`. */
function sequenceLength(byte: number): number {
  if (byte >= 0xf8) return 1;
  return byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
}
