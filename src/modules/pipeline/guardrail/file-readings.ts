/** One way to read a file's bytes as text. */
export interface FileReading {
  text: string;
  /** Whether it reads like text: in what does not, digits are nobody's phone number. */
  isText: boolean;
}

/** The share of control characters that a text may hold. */
const MOST_CONTROLS = 0.05;
const CONTROL = /(?![\t\n\v\f\r])[\p{Cc}\ufffd]/gu;
/** Latin text in UTF-16 has a zero in most pairs of bytes, on the same side of each; what is not Latin needs a mark. */
const MANY_ZEROS = 0.3;
const FEW_ZEROS = 0.05;

/**
 * The ways in which the bytes of a file may be read, without NUL characters, which nobody sees: UTF-8 where they are that, else
 * one character for each byte, which shows the ASCII of every encoding that has it; and UTF-16 where they look like it.
 */
export function fileReadings(bytes: Buffer): FileReading[] {
  const narrow = decoded(bytes, 'utf-8') ?? bytes.toString('latin1');
  const readings = [narrow, ...wide(bytes)].map((text) => text.replaceAll('\0', ''));
  return [...new Set(readings)].map((text) => ({ text, isText: readsAsText(text) }));
}

function wide(bytes: Buffer): string[] {
  const pairs = Math.floor(bytes.length / 2);
  let even = 0;
  let odd = 0;
  for (let pair = 0; pair < pairs; pair += 1) {
    if (bytes[pair * 2] === 0) even += 1;
    if (bytes[pair * 2 + 1] === 0) odd += 1;
  }
  const isLatin = (zeros: number, others: number): boolean =>
    pairs > 0 && zeros / pairs >= MANY_ZEROS && others / pairs <= FEW_ZEROS;
  const mark = bytes.subarray(0, 2).toString('hex');
  const encodings = [
    ...(mark === 'fffe' || isLatin(odd, even) ? ['utf-16le'] : []),
    ...(mark === 'feff' || isLatin(even, odd) ? ['utf-16be'] : []),
  ];
  // An odd last byte is not of the text.
  return encodings.flatMap((encoding) => decoded(bytes.subarray(0, pairs * 2), encoding, false) ?? []);
}

function decoded(bytes: Buffer, encoding: string, fatal = true): string | null {
  try {
    return new TextDecoder(encoding, { fatal }).decode(bytes);
  } catch {
    return null;
  }
}

function readsAsText(text: string): boolean {
  return (text.match(CONTROL)?.length ?? 0) <= text.length * MOST_CONTROLS;
}
