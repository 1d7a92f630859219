import type { FileHandle } from 'node:fs/promises';

const CHUNK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

export interface TextLine {
  /** From 1. */
  number: number;
  text: string;
  /** Whether the line went on past `maxLineBytes`. */
  cut: boolean;
}

/**
 * The lines of an open file, read as they are asked for. A line keeps `maxLineBytes` at most, and the rest of it is passed
 * over, so memory is bounded whatever the file holds. Bytes that are not UTF-8 become U+FFFD.
 */
export async function* textLines(
  handle: FileHandle,
  maxLineBytes: number,
  signal: AbortSignal,
): AsyncGenerator<TextLine> {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let kept: Buffer[] = [];
  let keptBytes = 0;
  let lineBytes = 0;
  let number = 1;
  const take = (part: Buffer): void => {
    lineBytes += part.length;
    const room = maxLineBytes - keptBytes;
    if (room <= 0) return;
    const copy = Buffer.from(part.subarray(0, room));
    kept.push(copy);
    keptBytes += copy.length;
  };
  const finish = (): TextLine => {
    const line = { number: number++, text: Buffer.concat(kept).toString('utf8'), cut: lineBytes > keptBytes };
    kept = [];
    keptBytes = lineBytes = 0;
    return line;
  };
  for (;;) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, null);
    if (bytesRead === 0) break;
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1 && end < bytesRead; end = chunk.indexOf(NEWLINE, start)) {
      take(chunk.subarray(start, end));
      yield finish();
      start = end + 1;
    }
    take(chunk.subarray(start, bytesRead));
  }
  if (lineBytes > 0) yield finish();
}

/** Whether the beginning of an open file holds a NUL, as no text does. */
export async function looksBinary(handle: FileHandle): Promise<boolean> {
  const head = Buffer.alloc(8_192);
  const { bytesRead } = await handle.read(head, 0, head.length, 0);
  return head.subarray(0, bytesRead).includes(0);
}
