/** Tokens by which chat templates end an answer, those in words; others stand between `<|` and `|>`. */
const LITERALS = ['</s>', '<eos>', '<pad>', '<end_of_turn>', '[EOS]', '[/INST]'];
const NAMED = String.raw`<[|｜][^<>|｜{}"\s]{1,40}[|｜]>`;
const LAST_TOKEN = new RegExp(
  `(?:${NAMED}|${LITERALS.map((token) => token.replace(/[[\]/]/g, '\\$&')).join('|')})\\s*$`,
);
const BEGINNING = /^<[|｜][^<>|｜{}"\s]{0,40}[|｜]?$/;
const LONGEST_TOKEN = 44;
/** Characters that are looked back for one token and the blanks after it. */
const LOOKED_BACK = 64;
/** Characters of tokens that are kept back; what is more is text. */
const MOST_HELD = 128;
const OPENED = /<s>/g;
const CLOSED = /<\/s>/g;

/** Takes the tokens off the very end of an answer that its chat template has left there. Elsewhere they are text. */
export class EndTokens {
  private held = '';

  /** As much of the text, with `text` as its next piece, as cannot be such a token. */
  take(text: string): string {
    if (this.held === '' && !text.includes('<') && !text.includes('[')) return text;
    const all = this.held + text;
    let end = all.length - beginningAtEnd(all).length;
    for (let token = tokenBefore(all, end); token > 0; token = tokenBefore(all, end)) end -= token;
    if (all.length - end > MOST_HELD) end = all.length;
    this.held = all.slice(end);
    return all.slice(0, end);
  }

  /** The rest of the text that `said` is so far. */
  end(said: string): string {
    const { held } = this;
    this.held = '';
    if (beginningAtEnd(held) !== '') return held;
    // The end of a text that is struck out.
    const isText = held.startsWith('</s>') && count(said, OPENED) > count(said, CLOSED);
    return isText ? '</s>' : '';
  }
}

/** The beginning of a token with which `text` ends; empty when there is none. */
function beginningAtEnd(text: string): string {
  const start = Math.max(text.lastIndexOf('<'), text.lastIndexOf('['));
  if (start < 0 || text.length - start > LONGEST_TOKEN) return '';
  const last = text.slice(start);
  const isBeginning = BEGINNING.test(last) || LITERALS.some((token) => token !== last && token.startsWith(last));
  return isBeginning ? last : '';
}

/** The length of the token, and of the blanks after it, that ends at `end`; 0 when there is none. */
function tokenBefore(text: string, end: number): number {
  return LAST_TOKEN.exec(text.slice(Math.max(0, end - LOOKED_BACK), end))?.[0].length ?? 0;
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}
