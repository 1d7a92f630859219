import { z } from 'zod';
import { storableText } from '../../../platform/database/index.js';
import { cutMiddle } from '../../loop/index.js';

/*
 * Types for what an answer describes. They take any value and make the best of it: a wrong type, a missing or null value and
 * too long a text cost no verdict. What decides is written with plain zod types instead.
 */

/** Text, at most `most` characters long and storable; `absent` where there is none. */
export function text(most: number, absent = ''): z.ZodType<string> {
  return z.preprocess((value) => {
    const words = wordsOf(value);
    return words.trim() === '' ? absent : words;
  }, bounded(most));
}

/** `text`, or null where there is none. */
export function textOrNull(most: number): z.ZodType<string | null> {
  return z.preprocess((value) => (isAbsent(value) ? null : wordsOf(value)), bounded(most).nullable());
}

/** `text` without which the answer says nothing: absent or blank is a fault. */
export function requiredText(most: number): z.ZodType<string> {
  return z.preprocess(
    (value) => (isAbsent(value) ? value : wordsOf(value)),
    bounded(most).refine((value) => value.trim() !== '', 'must not be empty'),
  );
}

/** A list of texts: a text is its lines, or the JSON list that it holds. */
export function texts(most: { items: number; characters: number }): z.ZodType<string[]> {
  return z.preprocess(
    (value) => itemsOf(value).map(wordsOf).filter(Boolean),
    z.array(bounded(most.characters)).overwrite((items) => items.slice(0, most.items)),
  );
}

/** The number of a line: the first one of `12`, `"12"`, `"L12-15"`, `[12, 15]` or `{start: 12}`; null where there is none. */
export function lineNumber(): z.ZodType<number | null> {
  return z.preprocess(lineOf, z.int().min(0).max(HIGHEST_LINE).nullable());
}

const HIGHEST_LINE = 100_000_000;
/** Not the digits of a file's name that stands before the line. */
const LINE = /(?:^|[\s:#([,~≈])(?:L|lines?)?[\s.:#]{0,5}(\d{1,9})(?!\w|\.[a-z_])/i;

function bounded(most: number): z.ZodString {
  return z.string().overwrite((value) => storableText(cutMiddle(value, most)));
}

function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

function wordsOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (isAbsent(value)) return '';
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object')) return value.map(String).join('\n');
  try {
    return JSON.stringify(value, null, 2);
  } catch {
    // Nested so deeply that it cannot be written.
    return '';
  }
}

function itemsOf(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  if (isAbsent(value)) return [];
  if (typeof value !== 'string') return [value];
  if (value.trimStart().startsWith('[')) {
    try {
      const list: unknown = JSON.parse(value);
      if (Array.isArray(list)) return list;
    } catch {
      // A text that begins with a bracket.
    }
  }
  return value.split('\n').map((line) => line.replace(/^\s*[-*•]\s+/, '').trim());
}

function lineOf(value: unknown): number | null {
  const number = firstNumber(value, 4);
  return number !== null && number >= 0 && number <= HIGHEST_LINE ? number : null;
}

function firstNumber(value: unknown, depth: number): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? Math.trunc(value) : null;
  if (typeof value === 'string') {
    const digits = LINE.exec(value.slice(0, 1_000))?.[1];
    return digits === undefined ? null : Number(digits);
  }
  if (typeof value !== 'object' || value === null || depth === 0) return null;
  for (const inner of Object.values(value)) {
    const found = firstNumber(inner, depth - 1);
    if (found !== null) return found;
  }
  return null;
}
