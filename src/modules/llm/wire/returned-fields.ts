import { isObject, type JsonObject } from './json-value.js';

/** Fields of a message by which endpoints show thoughts and seal them; they want them back as they came. */
const WANTED_BACK = /reason|think|thought|signature|encrypted|opaque|provider_specific/i;
/** Their names for an end are none of them. */
const END = /finish|stop|done/i;
/** Characters of all fields of one answer. */
const MOST_CHARACTERS = 4 << 20;
const MOST_FIELDS = 32;
const MOST_ENTRIES = 10_000;
/** Texts that come in pieces; other texts come whole. */
const IN_PIECES = ['text', 'thinking', 'summary', 'reasoning', 'content', 'signature', 'data'];

/** Gathers those fields from the deltas of a stream, or from a whole message. */
export class ReturnedFields {
  private readonly fields: JsonObject = {};
  private characters = 0;

  add(delta: JsonObject): void {
    for (const [key, value] of Object.entries(delta)) {
      if (!WANTED_BACK.test(key) || END.test(key) || value === null || value === undefined || value === '') continue;
      const isNew = !Object.hasOwn(this.fields, key);
      if (isNew && Object.keys(this.fields).length >= MOST_FIELDS) continue;
      this.characters += typeof value === 'string' ? value.length : JSON.stringify(value).length;
      // Past it the answer itself is too long, and ends for that reason.
      if (this.characters > MOST_CHARACTERS) return;
      this.fields[key] = joined(this.fields[key], value);
    }
  }

  /** As the endpoint gets them back; null when there are none. */
  get all(): JsonObject | null {
    return Object.keys(this.fields).length > 0 ? this.fields : null;
  }
}

function joined(before: unknown, value: unknown): unknown {
  if (typeof before === 'string' && typeof value === 'string') return before + value;
  if (Array.isArray(before) && Array.isArray(value)) {
    for (const entry of value as unknown[]) addEntry(before, entry);
    return before;
  }
  if (Array.isArray(value)) return value.reduce<unknown[]>((list, entry) => addEntry(list, entry), []);
  return isObject(before) && isObject(value) ? { ...before, ...value } : value;
}

/** A list's last entry goes on when the next one is of the same kind and place, and is not sealed yet. */
function addEntry(list: unknown[], entry: unknown): unknown[] {
  const last = list.at(-1);
  const goesOn =
    isObject(last) &&
    isObject(entry) &&
    last.type === entry.type &&
    (last.index === entry.index || entry.index === undefined) &&
    (typeof last.data !== 'string' || last.index !== undefined) &&
    (entry.index !== undefined || typeof last.signature !== 'string' || last.signature === '');
  if (!goesOn) {
    if (list.length < MOST_ENTRIES) list.push(isObject(entry) ? { ...entry } : entry);
    return list;
  }
  for (const [key, value] of Object.entries(entry)) {
    const before = last[key];
    if (IN_PIECES.includes(key) && typeof before === 'string' && typeof value === 'string') last[key] = before + value;
    else if (value !== null && value !== undefined) last[key] = value;
  }
  return list;
}
