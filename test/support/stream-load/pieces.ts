/** Length of one piece of a steady answer. */
export const PIECE_CHARACTERS = 1_000;
const NUMBER_DIGITS = 8;

/** Piece `number` of a steady answer, said at `timeMs`: `#00000012@1767225600000:xxx…`. */
export function pieceOf(number: number, timeMs: number): string {
  return `#${String(number).padStart(NUMBER_DIGITS, '0')}@${timeMs}:`.padEnd(PIECE_CHARACTERS, 'x');
}

/** Whether `text` is piece `number` to the character, and when it was said. */
export function readPiece(text: string, number: number): { isWhole: boolean; timeMs: number } {
  const timeMs = Number(/^#\d+@(\d+):/.exec(text)?.[1]);
  return { isWhole: text === pieceOf(number, timeMs), timeMs };
}
