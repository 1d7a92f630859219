import { repairedJson } from '../../llm/index.js';

/** What transports and chat templates leave at the start of an answer. Each is taken off whole. */
const LEADING: readonly RegExp[] = [
  // Thoughts, in the marks of the models that write them out.
  /^<(think|thinking|thought|thoughts|reasoning|reflection|seed:think)>[\s\S]*?<\/\1>/i,
  /^\[(THINK)\][\s\S]*?\[\/\1\]/i,
  /^◁think▷[\s\S]*?◁\/think▷/,
  /^(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)[\s\S]*?<\|end\|>/,
  /^<\|START_THINKING\|>[\s\S]*?<\|END_THINKING\|>/,
  // Chat tokens, with the name of the speaker that follows some.
  /^(?:<\|(?:im_start|start|start_header_id)\|>|<start_of_turn>)\s*(?:assistant|model)\b/,
  /^<\|channel\|>final(?:\s*<\|constrain\|>\s*json)?/,
  /^<[|｜][^<>|｜{}"]{1,40}[|｜]>/,
  /^<\/?(?:s|bos|eos|pad|start_of_turn|end_of_turn)>/,
  /^\[\/?INST\]/,
  /^(?:`{3,}|~{3,})(?:json[c5]?(?=\s*[[{])|[\w-]{0,20}[^\S\n][^`~{}[\]\n]{0,100}(?=\n)|[\w-]{0,20}(?=\s))/i,
];

const TRAILING: readonly RegExp[] = [
  /<[|｜][^<>|｜{}"]{1,40}[|｜]>$/,
  /<\/?(?:s|bos|eos|pad|start_of_turn|end_of_turn)>$/,
  /\[\/?INST\]$/,
  /(?:^|[\s\]}])(?:`{3,}|~{3,})$/,
];

/** Thoughts whose beginning the chat template wrote, so that the answer holds only their end. */
const END_OF_THOUGHTS = /<\/(?:think|thinking|thought|reasoning|seed:think)>|◁\/think▷|\[\/THINK\]/i;

/** Thoughts at the end of an answer. */
const THOUGHTS_AFTER = /<\/(think|thinking|thought|thoughts|reasoning|reflection)>$/;

/** Layers of artefacts; real answers have two or three. */
const MOST_LAYERS = 20;

interface WholeJson {
  json: string;
  value: unknown;
  /** It was not JSON to the letter; `json` is. */
  isRepaired?: true;
}

/**
 * The JSON value that `answer` is, as it was written, once the artefacts around it are taken off; null when it is none, or more
 * than one. Prose is no artefact.
 */
export function wholeJson(answer: string): WholeJson | null {
  let text = withoutBlanks(answer);
  for (let layer = 0; layer < MOST_LAYERS; layer += 1) {
    const parsed = parse(text);
    if (parsed !== null) return parsed;
    const bare = withoutArtefact(text);
    if (bare === text) return null;
    text = bare;
  }
  return null;
}

function withoutArtefact(text: string): string {
  for (const pattern of LEADING) {
    const found = pattern.exec(text)?.[0];
    if (found) return text.slice(found.length).trim();
  }
  for (const pattern of TRAILING) {
    const found = pattern.exec(text);
    // A brace before a closing fence is the answer's.
    if (found) return text.slice(0, found.index + (/^[\]}]/.test(found[0]) ? 1 : 0)).trim();
  }
  const after = THOUGHTS_AFTER.exec(text)?.[1];
  if (after !== undefined) {
    const start = text.lastIndexOf(`<${after}>`);
    if (start >= 0) return text.slice(0, start).trim();
  }
  const end = END_OF_THOUGHTS.exec(text);
  // A value before the mark is no thought: it would be the first of two.
  if (end && wholeJson(text.slice(0, end.index)) === null) return text.slice(end.index + end[0].length).trim();
  return text;
}

function parse(text: string): WholeJson | null {
  const asWritten = parsedAs(text);
  if (asWritten !== null) return asWritten;
  if (!/^[[{]/.test(text) || !/[\]}]$/.test(text)) return null;
  const read = parsedAs(repairedJson(text));
  return read && { ...read, isRepaired: true };
}

function parsedAs(text: string): WholeJson | null {
  if (text === '') return null;
  try {
    return { json: text, value: JSON.parse(text) as unknown };
  } catch {
    return null;
  }
}

/** `text` without blanks, and characters that nobody sees, at either end. */
function withoutBlanks(text: string): string {
  const isBlank = (at: number): boolean => at < text.length && /[\s\u200b\u2060]/.test(text.charAt(at));
  let start = 0;
  while (isBlank(start)) start += 1;
  let end = text.length;
  while (end > start && isBlank(end - 1)) end -= 1;
  return text.slice(start, end);
}
