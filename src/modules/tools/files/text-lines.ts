import type { FileHandle } from 'node:fs/promises';
import type { TextEncoding } from './text-encoding.js';

const CHUNK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;
const UTF8_MARK = Buffer.from('\ufeff');

export interface TextLine {
  /** From 1. */
  number: number;
  text: string;
  /** Whether the line went on past `maxLineBytes`. */
  cut: boolean;
}

/**
 * The lines of an open file, read as they are asked for. A line keeps `maxLineBytes` at most, and the rest of it is passed
 * over, so memory is bounded whatever the file holds. The byte order mark is no part of them, and what `encoding` does not
 * know becomes U+FFFD.
 */
export async function* textLines(
  handle: FileHandle,
  encoding: TextEncoding,
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
    const cut = lineBytes > keptBytes;
    const bytes = Buffer.concat(kept);
    const text = cut ? withoutHalf(bytes) : bytes.toString('utf8');
    kept = [];
    keptBytes = lineBytes = 0;
    return { number: number++, text, cut };
  };
  const decode = decoderOf(encoding);
  for (let bytesRead = -1; bytesRead !== 0;) {
    signal.throwIfAborted();
    ({ bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, null));
    const text = decode(chunk.subarray(0, bytesRead));
    let start = 0;
    for (let end = text.indexOf(NEWLINE); end !== -1; end = text.indexOf(NEWLINE, start)) {
      take(text.subarray(start, end));
      yield finish();
      start = end + 1;
    }
    take(text.subarray(start));
  }
  if (lineBytes > 0) yield finish();
}

/** The text of `bytes`, without what is left of a character that a cut went through. */
function withoutHalf(bytes: Buffer): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: true });
}

/** Gives the parts of a file, an empty one at its end, as UTF-8 without a byte order mark. */
function decoderOf(encoding: TextEncoding): (part: Buffer) => Buffer {
  if (encoding === 'Latin-1') return (part) => Buffer.from(part.toString('latin1'));
  if (encoding !== 'UTF-8') {
    const decoder = new TextDecoder(encoding);
    return (part) => Buffer.from(decoder.decode(part, { stream: part.length > 0 }));
  }
  let begun = false;
  return (part) => {
    const marked = !begun && part.subarray(0, 3).equals(UTF8_MARK);
    begun = true;
    return marked ? part.subarray(3) : part;
  };
}
