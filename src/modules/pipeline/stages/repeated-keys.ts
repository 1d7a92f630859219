/** The names, compared as `asSeen` gives them, that one of the objects in `json` gives more than once. `json` is valid. */
export function repeatedKeys(json: string): Set<string> {
  const repeated = new Set<string>();
  /** The keys so far of each open object; null for an open list. */
  const open: (Set<string> | null)[] = [];
  let expectsKey = false;
  for (let at = 0; at < json.length; at += 1) {
    switch (json[at]) {
      case '{':
        open.push(new Set());
        expectsKey = true;
        break;
      case '[':
        open.push(null);
        expectsKey = false;
        break;
      case '}':
      case ']':
        open.pop();
        expectsKey = false;
        break;
      case ',':
        expectsKey = open.at(-1) !== null;
        break;
      case '"': {
        const end = endOfString(json, at);
        const keys = open.at(-1);
        if (expectsKey && keys) {
          const name = asSeen(JSON.parse(json.slice(at, end)) as string);
          if (keys.has(name)) repeated.add(name);
          keys.add(name);
          expectsKey = false;
        }
        at = end - 1;
        break;
      }
      default:
    }
  }
  return repeated;
}

/** Blanks, and characters that nobody sees. */
const UNSEEN = /[\s\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;

/** `name` as it is compared: as a reader sees it, in one case, without blanks. */
export function asSeen(name: string): string {
  return name.normalize('NFKC').replace(UNSEEN, '').toUpperCase().toLowerCase();
}

function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
  return at + 1;
}
