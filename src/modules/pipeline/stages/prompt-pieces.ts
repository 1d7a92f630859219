import { cutMiddle } from '../../loop/index.js';
import type { DataBlock } from './stage-input.js';

/** Prompts in which a judge is shown the work. */
const MOST_PIECES = 8;
/** Of each piece, the share of everything that is not the work. */
const SHARE_OF_OTHERS = 0.3;
/** Bytes of work that a piece shows at the least. */
const SMALLEST_PIECE = 4_096;

/** The data of each prompt, and the rest of the work, which none of them shows. */
export interface Pieces {
  pieces: DataBlock[][];
  rest: DataBlock[];
}

/**
 * Divides `blocks` among prompts of `bytes` each. One prompt where they fit, or where none of them is work: texts that are too
 * long are cut then. Otherwise every prompt shows the other blocks and the next part of the work, broken at the end of a line.
 */
export function inPieces(blocks: readonly DataBlock[], bytes: number): Pieces {
  const work = blocks.filter(({ isWork }) => isWork);
  if (work.length === 0 || sizeOf(blocks) <= bytes) return { pieces: [fitted(blocks, bytes)], rest: [] };
  const others = fitted(
    blocks.filter(({ isWork }) => !isWork),
    bytes * SHARE_OF_OTHERS,
  );
  const room = Math.max(bytes - sizeOf(others), SMALLEST_PIECE);
  const parts: DataBlock[][] = [[]];
  const rest: DataBlock[] = [];
  let left = room;
  for (const block of work) {
    let { text } = block;
    while (text !== '') {
      const part = headWithin(text, left);
      if (part !== '') parts.at(-1)?.push({ ...block, text: part });
      left -= Buffer.byteLength(part);
      text = text.slice(part.length);
      if (text === '') break;
      if (parts.length === MOST_PIECES) {
        rest.push({ ...block, text });
        break;
      }
      parts.push([]);
      left = room;
    }
  }
  return { pieces: parts.map((part) => [...others, ...part]), rest };
}

function sizeOf(blocks: readonly DataBlock[]): number {
  return blocks.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
}

/** The longest beginning of `text` of at most `bytes` in UTF-8, to the end of a line where that is not far. */
function headWithin(text: string, bytes: number): string {
  if (bytes <= 0) return '';
  let end = Math.min(text.length, bytes);
  for (let size = Buffer.byteLength(text.slice(0, end)); size > bytes; size = Buffer.byteLength(text.slice(0, end))) {
    end = Math.min(end - 1, Math.floor((end * bytes) / size));
  }
  if (end === text.length) return text;
  const line = text.lastIndexOf('\n', end - 1) + 1;
  if (line > end / 2) return text.slice(0, line);
  const last = text.charCodeAt(end - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? end - 1 : end);
}

/** Cuts the longest texts to one common length, so that all together have `bytes`; short ones stay whole. */
function fitted(blocks: readonly DataBlock[], bytes: number): DataBlock[] {
  const sizes = blocks.map(({ text }) => Buffer.byteLength(text));
  let left = bytes;
  let limit = Number.POSITIVE_INFINITY;
  const ascending = [...sizes].sort((a, b) => a - b);
  for (const [index, size] of ascending.entries()) {
    const fair = left / (ascending.length - index);
    if (size > fair) {
      limit = fair;
      break;
    }
    left -= size;
  }
  return blocks.map((block, index) => {
    const size = sizes[index] ?? 0;
    if (size <= limit) return block;
    return { ...block, text: cutMiddle(block.text, Math.floor((block.text.length * limit) / size)) };
  });
}
