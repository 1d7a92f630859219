import { MappedText } from './mapped-text.js';

/** Characters that nobody sees: zero-width, bidirectional controls, tags, variation selectors, soft hyphens. */
export const INVISIBLE = /\p{Default_Ignorable_Code_Point}/gu;
/** Letters, digits and signs in their wide forms, which read like the plain ones. */
const FULL_WIDTH = /[\uff01-\uff5e]/g;
/** The seam of a string that was put together from pieces, or of a line that goes on. */
const SEAM = /["'`]\s{0,80}[+.&]?\s{0,80}["'`]|\\\r?\n[ \t]{0,80}/g;
const ESCAPED = /%[0-9a-f]{2}|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\u\{[0-9a-f]{1,6}\}|&#\d{1,7};|&#x[0-9a-f]{1,6};/gi;
const BASE64 = /[A-Za-z0-9+/_-]{22,}/g;
const WRAPPED_BASE64 =
  /(?<![A-Za-z0-9+/])(?:[A-Za-z0-9+/]{40,200}[ \t]{0,40}\r?\n[ \t]{0,40}){1,2000}[A-Za-z0-9+/]{2,200}/g;
/** What makes decoded bytes worth reading: what only looks like base64 decodes to noise. */
const WORDS = /[\t\n\r -~]{16,}/;
const HEX = /(?:[0-9a-f]{2}){16,}/gi;
/** How often what was decoded is decoded again. */
const DEPTH = 2;

/** One way of reading a text, with the place in the text that a range of the reading stands for. */
export interface View {
  text: string;
  rangeOf(start: number, end: number): [start: number, end: number];
}

/** The text as it reads: without what is invisible, and in plain letters. */
export function plainView(text: string): MappedText {
  return MappedText.of(text)
    .replace(INVISIBLE, () => '')
    .replace(FULL_WIDTH, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0));
}

/**
 * The ways in which a secret may stand in `text`: as it is, with invisible characters in it, in pieces, escaped, in base64
 * or hex. Their total length is at most a small multiple of the text's.
 */
export function secretViews(text: string): View[] {
  const raw = MappedText.of(text);
  const plain = plainView(text);
  const joined = plain.replace(SEAM, () => '');
  const unescaped = joined.replace(ESCAPED, characterOf);
  const whole = new Map([raw, plain, joined, unescaped].map((mapped) => [mapped.text, asView(mapped)]));
  return [...whole.values(), ...decodedViews(asView(unescaped), DEPTH)];
}

function asView(mapped: MappedText): View {
  return { text: mapped.text, rangeOf: (start, end) => [mapped.sourceOf(start), mapped.sourceEndOf(end)] };
}

function decodedViews(outer: View, depth: number): View[] {
  if (depth === 0) return [];
  const views: View[] = [];
  const add = (start: number, end: number, text: string): void => {
    if (!WORDS.test(text)) return;
    const scale = (end - start) / text.length;
    // Wider by a group of four on each side: half an encoded secret is still half a secret.
    const view: View = {
      text,
      rangeOf: (from, to) =>
        outer.rangeOf(
          Math.max(start, start + Math.floor(from * scale) - 4),
          Math.min(end, start + Math.ceil(to * scale) + 4),
        ),
    };
    views.push(view, ...decodedViews(view, depth - 1));
  };
  for (const pattern of [BASE64, WRAPPED_BASE64]) {
    for (const match of outer.text.matchAll(pattern)) {
      // Whatever stands before the first encoded character shifts the groups of four.
      for (const shift of [0, 1, 2, 3]) {
        const run = match[0].slice(shift);
        add(match.index + shift, match.index + match[0].length, Buffer.from(run, 'base64').toString('latin1'));
      }
    }
  }
  for (const match of outer.text.matchAll(HEX)) {
    add(match.index, match.index + match[0].length, Buffer.from(match[0], 'hex').toString('latin1'));
  }
  return views;
}

function characterOf(escape: string): string {
  const digits = /[0-9a-f]+(?=[;}]?$)/i.exec(escape)?.[0] ?? '';
  const code = /^&#\d/.test(escape) ? Number(digits) : Number.parseInt(digits, 16);
  // Line breaks would move every place behind them.
  return code > 0x1f && code <= 0x10ffff ? String.fromCodePoint(code) : ' ';
}
