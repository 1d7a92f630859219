import { repairedJson } from './json-repair.js';

/** A JSON object, as endpoints send it: nothing of its content is known. */
export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A string that says something, or undefined. */
export function wordsOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}

const NUMBER = /^\+?\d{1,15}(\.\d+)?(e\d{1,2})?$/i;
const SEPARATED = /^\d{1,3}(,\d{3}){1,4}$/;

/** A number, also one that is written as text (`"12"`, `"1,200"`, `"1e3"`); undefined for anything else. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value !== 'string') return undefined;
  const digits = value.trim();
  if (SEPARATED.test(digits)) return Number(digits.replaceAll(',', ''));
  return NUMBER.test(digits) ? Number(digits) : undefined;
}

/** The value of a JSON text, also of one with slips that leave no doubt; undefined when it is none. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    try {
      return JSON.parse(repairedJson(text)) as unknown;
    } catch {
      return undefined;
    }
  }
}
