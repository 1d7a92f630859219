import { z } from 'zod';

/** Characters of one result; the registry shows a model far less. */
const MAX_RESULT_CHARACTERS = 4 * 1024 * 1024;

const resource = z.object({
  uri: z.string(),
  mimeType: z.string().optional(),
  text: z.string().optional(),
  blob: z.string().optional(),
});
const block = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text'), text: z.string() }),
  z.object({ type: z.literal('image'), data: z.string(), mimeType: z.string() }),
  z.object({ type: z.literal('audio'), data: z.string(), mimeType: z.string() }),
  z.object({ type: z.literal('resource'), resource }),
  z.object({ type: z.literal('resource_link'), uri: z.string(), name: z.string().optional() }),
]);

/** What a server answered a call with. */
export interface CallAnswer {
  content?: readonly unknown[] | undefined;
  structuredContent?: unknown;
  isError?: boolean | undefined;
}

/**
 * What a model reads of an answer: its texts; its structured content, unless a text says the same already; and a note for
 * each picture, sound or file, with its type and size.
 */
export function resultText(answer: CallAnswer): string {
  const parts = (answer.content ?? []).map(blockText);
  const { structuredContent } = answer;
  if (structuredContent !== undefined && structuredContent !== null) {
    const json = JSON.stringify(structuredContent);
    if (!parts.some((part) => sameJson(part, json))) parts.push(json);
  }
  const text = parts.join('\n');
  if (text === '') return answer.isError ? 'The tool failed and said nothing.' : 'The tool returned nothing.';
  return text.length <= MAX_RESULT_CHARACTERS ? text : `${text.slice(0, MAX_RESULT_CHARACTERS)}\n[… cut …]`;
}

function blockText(raw: unknown): string {
  const parsed = block.safeParse(raw);
  if (!parsed.success) return '[content of a kind that is not known]';
  const content = parsed.data;
  switch (content.type) {
    case 'text':
      return content.text;
    case 'image':
    case 'audio':
      return `[${content.type}: ${short(content.mimeType)}, ${decodedBytes(content.data)} bytes]`;
    case 'resource': {
      const { uri, mimeType, text, blob } = content.resource;
      if (text !== undefined) return `[resource ${short(uri)}]\n${text}`;
      return `[resource ${short(uri)}: ${short(mimeType ?? 'unknown type')}, ${decodedBytes(blob ?? '')} bytes]`;
    }
    case 'resource_link':
      return `[link to the resource ${short(uri(content))}]`;
  }
}

function uri(link: { uri: string; name?: string | undefined }): string {
  return link.name === undefined ? link.uri : `${link.name}: ${link.uri}`;
}

function short(text: string): string {
  return text.length <= 500 ? text : `${text.slice(0, 500)}…`;
}

function decodedBytes(base64: string): number {
  return Math.floor((base64.replace(/=+$/, '').length * 3) / 4);
}

function sameJson(text: string, json: string): boolean {
  if (text === json) return true;
  if (text.length > json.length * 10 + 1_000) return false;
  try {
    return JSON.stringify(JSON.parse(text)) === json;
  } catch {
    return false;
  }
}
