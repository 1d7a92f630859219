/** A run of characters of a view: copied from the source, or standing for all of a source range. */
interface Segment {
  view: number;
  source: number;
  sourceEnd: number;
  copied: boolean;
}

/** A rewritten text that knows where in its source each of its characters came from. */
export class MappedText {
  private constructor(
    readonly text: string,
    private readonly segments: readonly Segment[],
  ) {}

  static of(text: string): MappedText {
    return new MappedText(text, [{ view: 0, source: 0, sourceEnd: text.length, copied: true }]);
  }

  /** This text with each match of `pattern` (global) replaced. Returns itself when nothing matches. */
  replace(pattern: RegExp, replacement: (match: string) => string): MappedText {
    const pieces: string[] = [];
    const segments: Segment[] = [];
    let length = 0;
    let from = 0;
    const push = (piece: string, start: number, end: number, copied: boolean): void => {
      if (piece === '') return;
      const copiedHere = copied ? this.copiedSegments(start, end, length) : [];
      if (copiedHere.length > 0) segments.push(...copiedHere);
      else
        segments.push({ view: length, source: this.sourceOf(start), sourceEnd: this.sourceEndOf(end), copied: false });
      pieces.push(piece);
      length += piece.length;
    };
    for (const match of this.text.matchAll(pattern)) {
      push(this.text.slice(from, match.index), from, match.index, true);
      from = match.index + match[0].length;
      push(replacement(match[0]), match.index, from, false);
    }
    if (from === 0) return this;
    push(this.text.slice(from), from, this.text.length, true);
    return new MappedText(pieces.join(''), segments);
  }

  /** Where in the source the character at `offset` begins. */
  sourceOf(offset: number): number {
    const segment = this.segmentAt(offset);
    return segment.copied ? segment.source + (offset - segment.view) : segment.source;
  }

  /** Where in the source the character before `offset` ends. */
  sourceEndOf(offset: number): number {
    const segment = this.segmentAt(Math.max(0, offset - 1));
    return segment.copied ? segment.source + (offset - segment.view) : segment.sourceEnd;
  }

  /** The parts of this text's segments that lie in [start, end), as they begin at `view` of a new text. */
  private copiedSegments(start: number, end: number, view: number): Segment[] {
    const taken: Segment[] = [];
    for (let index = this.indexAt(start); index < this.segments.length; index += 1) {
      const segment = this.segments[index];
      if (segment === undefined || segment.view >= end) break;
      const cut = Math.max(0, start - segment.view);
      taken.push({
        ...segment,
        view: view + Math.max(0, segment.view - start),
        source: segment.copied ? segment.source + cut : segment.source,
      });
    }
    return taken;
  }

  private segmentAt(offset: number): Segment {
    return this.segments[this.indexAt(offset)] ?? { view: 0, source: 0, sourceEnd: 0, copied: true };
  }

  private indexAt(offset: number): number {
    let low = 0;
    let high = this.segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.segments[middle]?.view ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
