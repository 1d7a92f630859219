import { createHash, createHmac } from 'node:crypto';
import type { Severity } from '../../pods/index.js';

export const FINDING_TYPES = [
  'prompt_injection',
  'pii_exposure',
  'credential_leak',
  'spec_drift',
  'harmful_content',
  'policy_violation',
  'other',
] as const;
export type FindingType = (typeof FINDING_TYPES)[number];

/** Something wrong with the task's work. No text of it holds a secret: evidence names type, place, first characters, hash. */
export interface Finding {
  type: FindingType;
  severity: Severity;
  description: string;
  evidence: string;
  /** Found by a rule, not by a model. */
  deterministic: boolean;
  /** The same for the same finding of a later iteration of the same task. */
  fingerprint: string;
}

/**
 * What stands for a secret wherever people, models and logs read: at most its first four characters and a short hash keyed
 * with the task, so that equal secrets are recognised within a task and nowhere else.
 */
export function maskedSecret(label: string, value: string, taskId: string): string {
  return `[${label} "${shownStart(value)}…" #${shortHash(value, taskId, 8)}]`;
}

/** Four hex digits tell two phone numbers of one task apart and are too few to confirm a guess. */
export function maskedPersonal(label: string, value: string, shown: number, taskId: string): string {
  return `[${label} "${value.slice(0, shown)}…" #${shortHash(value, taskId, 4)}]`;
}

export function fingerprintOf(...parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\u0000')).digest('hex').slice(0, 16);
}

/** Never more than a quarter of it: four characters of a short password are the password. */
function shownStart(value: string): string {
  return value.slice(0, Math.min(4, Math.floor(value.length / 4))).toWellFormed();
}

function shortHash(value: string, key: string, digits: number): string {
  return createHmac('sha256', key).update(value).digest('hex').slice(0, digits);
}
