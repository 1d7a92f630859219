import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { TurnText } from './turn-text.js';

async function read(pieces: AsyncIterable<string | Buffer>, before?: () => void): Promise<string> {
  let text = '';
  for await (const piece of pieces) {
    before?.();
    text += typeof piece === 'string' ? piece : (JSON.parse(`"${piece.toString()}"`) as string);
  }
  return text;
}

it('gives the words from any character on, and all as they were when they were asked for, kept or let go', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat({ max: 20_000 }), { maxLength: 8 }),
      fc.nat({ max: 100_000 }),
      fc.nat({ max: 12 }),
      async (lengths, from, readBefore) => {
        const words = new TurnText();
        let all = '';
        const stored = async function* (after: number, to: number): AsyncGenerator<string> {
          yield Array.from(all).slice(after, to).join('');
        };
        const asked: { pieces: AsyncIterable<string | Buffer>; all: string }[] = [];
        for (const [index, length] of lengths.entries()) {
          const text = Array.from({ length }, (_, at) => [String(index), '"', '\n', '😀'][at % 4]).join('');
          words.add(text);
          all += text;
          asked.push({ pieces: words.pieces(stored), all });
        }
        expect(words.from(from)).toBe(all.slice(from));
        let left = readBefore;
        for (const each of asked)
          expect(await read(each.pieces, () => (left -= 1) === 0 && words.release())).toBe(each.all);
      },
    ),
    { numRuns: 50 },
  );
});
