import type { FileHandle } from 'node:fs/promises';
import { isUtf8 } from 'node:buffer';
import { PathRefusedError } from '../boundary/path-refused.js';

/** How a file writes text. UTF-16 is known by its byte order mark, or by its NUL bytes; what is no UTF-8 either is taken byte for byte. */
export type TextEncoding = 'UTF-8' | 'UTF-16LE' | 'UTF-16BE' | 'Latin-1';

/** The text of a file, and how to write it back as the same kind of file. */
export interface EncodedText {
  readonly encoding: TextEncoding;
  readonly text: string;
  /** The bytes of `text`. @throws PathRefusedError where the file's encoding has no bytes for it, or may have none. */
  encode(text: string): Buffer;
}

/** Bytes at the beginning of a file that tell text from what is none. */
const HEAD_BYTES = 8_192;
const CHUNK_BYTES = 64 * 1024;
/** Bytes in which a file is looked at for what is no UTF-8; it counts as UTF-8 where that comes later. */
const LOOKED_AT_BYTES = 4 * 1024 * 1024;

/**
 * Reads `content` in the encoding that `encodingOf` finds for its file, so that whatever is not touched stays as it is.
 * @throws PathRefusedError for what is no text.
 */
export function decodeText(content: Buffer, name: string): EncodedText {
  const encoding = headEncoding(content.subarray(0, HEAD_BYTES));
  if (encoding === null) throw new PathRefusedError(noText(name));
  if (encoding === 'UTF-8') return isUtf8(content) ? utf8(content) : latin1(content, name);
  if (content.length % 2 !== 0) throw new PathRefusedError(`"${name}" ends within a character of its ${encoding}.`);
  const bytes = (buffer: Buffer): Buffer => (encoding === 'UTF-16BE' ? Buffer.from(buffer).swap16() : buffer);
  return { encoding, text: bytes(content).toString('utf16le'), encode: (text) => bytes(Buffer.from(text, 'utf16le')) };
}

/** The encoding of an open file, from its first 4 MiB; null for what is no text. */
export async function encodingOf(handle: FileHandle): Promise<TextEncoding | null> {
  const head = Buffer.alloc(HEAD_BYTES);
  const { bytesRead } = await handle.read(head, 0, HEAD_BYTES, 0);
  const encoding = headEncoding(head.subarray(0, bytesRead));
  if (encoding !== 'UTF-8') return encoding;
  if (bytesRead < HEAD_BYTES) return isUtf8(head.subarray(0, bytesRead)) ? 'UTF-8' : 'Latin-1';
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  try {
    for (let at = 0; at < LOOKED_AT_BYTES;) {
      const { bytesRead: read } = await handle.read(chunk, 0, CHUNK_BYTES, at);
      decoder.decode(chunk.subarray(0, read), { stream: read > 0 });
      if (read === 0) break;
      at += read;
    }
    return 'UTF-8';
  } catch {
    return 'Latin-1';
  }
}

/** What `encoding` needs said of it where text is shown; null for UTF-8. */
export function describeEncoding(encoding: TextEncoding): string | null {
  if (encoding === 'UTF-8') return null;
  return encoding === 'Latin-1' ? 'not UTF-8, read byte for byte as Latin-1' : encoding;
}

export function noText(name: string): string {
  return `"${name}" cannot be read as text: it is binary, or in an encoding that is not known.`;
}

/** The encoding that the beginning of a file speaks for, UTF-8 standing for Latin-1 too; null for what is no text. */
function headEncoding(head: Buffer): TextEncoding | null {
  const mark = head.length >= 2 ? head.readUInt16BE(0) : 0;
  if (mark === 0xfffe || mark === 0xfeff) {
    const encoding = mark === 0xfffe ? 'UTF-16LE' : 'UTF-16BE';
    try {
      const text = new TextDecoder(encoding, { fatal: true }).decode(head, { stream: true });
      // As in UTF-32, whose mark begins like this one.
      return text.includes('\0') ? null : encoding;
    } catch {
      return null;
    }
  }
  return head.includes(0) ? bareUtf16(head) : 'UTF-8';
}

/** What no text holds, U+FFFE among it, which is a mark read the wrong way round. */
const NO_TEXT = /(?![\t\n\v\f\r])[\p{Cc}\p{Cn}\p{Co}]/u;

/**
 * The UTF-16 that `head` is without a byte order mark: most pairs are Latin characters, with a NUL byte on the same side of each,
 * none has one on the other, and everything reads as characters. Null for what is no text, and for what need not be any.
 */
function bareUtf16(head: Buffer): TextEncoding | null {
  const nuls: [number, number] = [0, 0];
  for (let at = head.indexOf(0); at !== -1; at = head.indexOf(0, at + 1)) nuls[at % 2 === 0 ? 0 : 1] += 1;
  if (head.length % 2 !== 0 || Math.min(...nuls) > 0 || Math.max(...nuls) * 4 < head.length) return null;
  const encoding = nuls[1] > 0 ? 'UTF-16LE' : 'UTF-16BE';
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(head, { stream: true });
    return NO_TEXT.test(text) ? null : encoding;
  } catch {
    return null;
  }
}

function utf8(content: Buffer): EncodedText {
  return { encoding: 'UTF-8', text: content.toString('utf8'), encode: (text) => Buffer.from(text) };
}

function latin1(content: Buffer, name: string): EncodedText {
  const text = content.toString('latin1');
  return {
    encoding: 'Latin-1',
    text,
    encode: (written) => {
      const known = new Set(text);
      const foreign = Array.from(written).find((character) => character > '\x7f' && !known.has(character));
      if (foreign === undefined) return Buffer.from(written, 'latin1');
      throw new PathRefusedError(
        `"${name}" is not in UTF-8, and its encoding may lack "${foreign}"; nothing was changed.`,
      );
    },
  };
}
