import { PathRefusedError } from '../boundary/path-refused.js';

/** The text of a file, and how to write it back as the same kind of file. */
export interface EncodedText {
  readonly text: string;
  /** The bytes of `text`. @throws PathRefusedError where the file's encoding has no bytes for it, or may have none. */
  encode(text: string): Buffer;
}

/**
 * Reads `content` as UTF-8, with or without a byte order mark; as UTF-16 where the mark says so; else byte for byte, so that
 * whatever is not touched stays as it is.
 * @throws PathRefusedError for what is no text.
 */
export function decodeText(content: Buffer, name: string): EncodedText {
  const mark = content.length >= 2 ? content.readUInt16BE(0) : 0;
  if ((mark === 0xfffe || mark === 0xfeff) && content.length % 2 === 0) {
    const swapped = mark === 0xfeff;
    const bytes = (buffer: Buffer): Buffer => (swapped ? Buffer.from(buffer).swap16() : buffer);
    return { text: bytes(content).toString('utf16le'), encode: (text) => bytes(Buffer.from(text, 'utf16le')) };
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
    return { text, encode: (written) => Buffer.from(written) };
  } catch {
    if (content.includes(0)) throw new PathRefusedError(`"${name}" is not a text file.`);
  }
  const text = content.toString('latin1');
  return {
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
