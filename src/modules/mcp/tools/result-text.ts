import { contentText } from './content-text.js';

/** Characters of one result; the registry shows a model far less. */
const MAX_RESULT_CHARACTERS = 4 * 1024 * 1024;

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
  const parts = (answer.content ?? []).map(contentText);
  const { structuredContent } = answer;
  if (structuredContent !== undefined && structuredContent !== null) {
    const json = JSON.stringify(structuredContent);
    if (!parts.some((part) => sameJson(part, json))) parts.push(json);
  }
  const text = parts.join('\n');
  if (text === '') return answer.isError ? 'The tool failed and said nothing.' : 'The tool returned nothing.';
  return text.length <= MAX_RESULT_CHARACTERS ? text : `${text.slice(0, MAX_RESULT_CHARACTERS)}\n[… cut …]`;
}

/** Whether `text` holds the same JSON as `json`, which was made here. */
export function sameJson(text: string, json: string): boolean {
  if (text === json) return true;
  if (text.length > json.length * 10 + 1_000) return false;
  try {
    return JSON.stringify(JSON.parse(text)) === json;
  } catch {
    return false;
  }
}
