import type { SaidOrThought } from './inline-thoughts.js';
import { isObject, type JsonObject } from './json-value.js';

/** A part of a message: said, thought, or something else that a message may hold in a field of its own. */
export interface ContentPiece extends SaidOrThought {
  /** The part itself, where it is a thought in a list of parts. */
  part?: JsonObject;
  /** A tool call. */
  call?: JsonObject;
  refusal?: string;
}

/** The kinds of a message's parts that hold thoughts, sealed ones too. */
const THOUGHT = /think|thought|reason/i;
const CALL = /^(tool_?use|tool_?call|function_?call|function)$/i;
/** The keys of an object that stands for a text. */
const TEXT_KEYS = ['text', 'value', 'content', 'annotations'];

/**
 * The content of a message, which is a text, a list of parts, or the value that a text should have held. `source` gives the
 * content as it was written, in which keys that are given twice still stand.
 */
export function contentPieces(content: unknown, source: () => string | null): ContentPiece[] {
  if (typeof content === 'string') return content === '' ? [] : [said(content)];
  if (content === null || content === undefined) return [];
  const isParts = Array.isArray(content) && content.every(isPart);
  if (isParts) return content.flatMap((part: unknown) => partPieces(part));
  if (isPart(content)) return partPieces(content);
  return [said(source() ?? JSON.stringify(content))];
}

function said(text: string): ContentPiece {
  return { thought: false, text };
}

/** Whether a value is part of a message, and not one that the message's text should have held. */
function isPart(value: unknown): boolean {
  if (typeof value === 'string' || value === null) return true;
  if (Array.isArray(value)) return value.every(isPart);
  if (!isObject(value)) return false;
  const keys = Object.keys(value);
  const isText = keys.length > 0 && keys.every((key) => TEXT_KEYS.includes(key));
  return isText || typeof value.type === 'string' || value.thinking !== undefined;
}

function partPieces(part: unknown): ContentPiece[] {
  if (typeof part === 'string') return part === '' ? [] : [said(part)];
  if (Array.isArray(part)) return part.flatMap((inner: unknown) => partPieces(inner));
  if (!isObject(part)) return [];
  const { type, text, thinking, refusal } = part;
  if ((typeof type === 'string' && THOUGHT.test(type)) || thinking !== undefined) {
    const inner: unknown[] = Array.isArray(thinking) ? thinking : [thinking ?? part.reasoning ?? text];
    const words = inner
      .map((piece) => (isObject(piece) ? piece.text : piece))
      .filter((piece) => typeof piece === 'string');
    return [{ thought: true, text: words.join(''), part }];
  }
  if (typeof type === 'string' && CALL.test(type)) return [{ thought: false, text: '', call: part }];
  if (typeof refusal === 'string') return [{ thought: false, text: '', refusal }];
  const words = [text, isObject(text) ? text.value : undefined, part.content, part.value].find(
    (one) => typeof one === 'string' && one !== '',
  );
  return typeof words === 'string' ? [said(words)] : [];
}
