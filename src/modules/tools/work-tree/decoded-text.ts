export type ShownEncoding = 'utf-8' | 'utf-16le' | 'utf-16be';

const BYTE_ORDER_MARKS: readonly [encoding: ShownEncoding, mark: readonly number[]][] = [
  ['utf-16le', [0xff, 0xfe]],
  ['utf-16be', [0xfe, 0xff]],
];

/** The text that `bytes` are: UTF-8, or UTF-16 that says so with its byte order mark. Null for anything else. */
export function decodedText(bytes: Uint8Array): string | null {
  return decoded(bytes)?.text ?? null;
}

/** The encoding of the text that `bytes` are, by the rule of `decodedText`; null for what is no text. */
export function shownEncoding(bytes: Uint8Array): ShownEncoding | null {
  return decoded(bytes)?.encoding ?? null;
}

function decoded(bytes: Uint8Array): { text: string; encoding: ShownEncoding } | null {
  const marked = BYTE_ORDER_MARKS.find(([, mark]) => mark.every((byte, index) => bytes[index] === byte));
  const encoding = marked?.[0] ?? 'utf-8';
  try {
    const text = new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.includes('\0') ? null : { text, encoding };
  } catch {
    return null;
  }
}
