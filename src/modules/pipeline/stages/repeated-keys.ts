/** The names, compared without regard to case, that one of the objects in `json` gives more than once. `json` is valid. */
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
          const name = caseless(JSON.parse(json.slice(at, end)) as string);
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

/** `name` as it is compared. */
export function caseless(name: string): string {
  return name.toUpperCase().toLowerCase();
}

function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
  return at + 1;
}
