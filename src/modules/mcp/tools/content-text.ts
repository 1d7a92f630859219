/**
 * What a model reads of one block of a server's answer: a text as it is, a note with type and size for a picture, a sound or
 * a file. Members that are missing or of another type cost the note a detail, never the block.
 */
export function contentText(raw: unknown): string {
  if (typeof raw === 'string') return raw;
  if (!isObject(raw)) return '[content of a kind that is not known]';
  switch (raw['type']) {
    case 'image':
    case 'audio':
      return `[${raw['type']}: ${short(text(raw['mimeType']) ?? 'unknown type')}, ${decodedBytes(raw['data'])} bytes]`;
    case 'resource':
      return resourceText(isObject(raw['resource']) ? raw['resource'] : {});
    case 'resource_link': {
      const [name, uri] = [text(raw['name']), text(raw['uri']) ?? 'without an address'];
      return `[link to the resource ${short(name === null ? uri : `${name}: ${uri}`)}]`;
    }
    default: {
      const said = raw['text'];
      if (typeof said === 'string') return said;
      if (raw['type'] === 'text') return said === undefined || said === null ? '' : JSON.stringify(said);
      return '[content of a kind that is not known]';
    }
  }
}

function resourceText(resource: Record<string, unknown>): string {
  const uri = short(text(resource['uri']) ?? 'without an address');
  const said = text(resource['text']);
  if (said !== null) return `[resource ${uri}]\n${said}`;
  return `[resource ${uri}: ${short(text(resource['mimeType']) ?? 'unknown type')}, ${decodedBytes(resource['blob'])} bytes]`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function short(value: string): string {
  return value.length <= 500 ? value : `${value.slice(0, 500)}…`;
}

/** Bytes that a base64 text stands for, one in a data URL too. */
function decodedBytes(value: unknown): number {
  if (typeof value !== 'string') return 0;
  let end = value.length;
  while (end > 0 && value[end - 1] === '=') end -= 1;
  const start = value.startsWith('data:') ? value.indexOf(',') + 1 : 0;
  return Math.floor(((end - start) * 3) / 4);
}
