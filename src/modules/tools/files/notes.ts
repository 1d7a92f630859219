import { shownPath } from '../boundary/shown-path.js';

const NAMED = 5;

/** `text` with what has to be known of it to read it rightly, each in a line of its own. */
export function withNotes(text: string, notes: readonly (string | null)[]): string {
  return [text, ...notes.flatMap((note) => (note === null ? [] : [`[… ${note} …]`]))].join('\n');
}

/** Names to be told: the first few, and how many there are besides. */
export class NameList {
  private readonly first: string[] = [];
  private count = 0;

  get isEmpty(): boolean {
    return this.count === 0;
  }

  add(name: string): void {
    this.count += 1;
    if (this.first.length < NAMED) this.first.push(shownPath(name));
  }

  /** `before` and the names; null where there are none. */
  note(before: string): string | null {
    if (this.isEmpty) return null;
    const others = this.count - this.first.length;
    return `${before}: ${this.first.join(', ')}${others > 0 ? ` and ${others} more` : ''}`;
  }
}
