import {
  APICallError,
  InvalidArgumentError,
  InvalidPromptError,
  UnsupportedFunctionalityError,
} from '@ai-sdk/provider';
import type { ModelFailureKind } from './model-call.js';
import { ModelTransportError } from './model-fetch.js';
import { ProviderNotUsableError } from './providers/model-provider.js';
import { retryAfterMs } from './retry-after.js';
import { parsedJson } from './wire/json-value.js';
import { reportedError, type ReportedError } from './wire/reported-error.js';

/** An answer that came and cannot be used. `message` goes on after "The model …". */
export class UnusableAnswerError extends Error {
  override readonly name = 'UnusableAnswerError';
  constructor(
    message: string,
    /** What came in its place, where that is no part of an answer. */
    readonly sent?: string,
  ) {
    super(message);
  }
}

/** A call that took longer than a whole call may. */
export class CallDeadlinePassedError extends Error {
  override readonly name = 'CallDeadlinePassedError';
}

/** An error that a provider sent inside an answer, after a 200. */
export class ReportedInStreamError extends Error {
  override readonly name = 'ReportedInStreamError';
  constructor(readonly reported: ReportedError) {
    super('the provider reported an error in its answer');
  }
}

/** Why one attempt at one model failed. */
export interface ModelFailure {
  kind: ModelFailureKind;
  /** Goes on after the name of the provider; fit for callers. */
  complaint: string;
  statusCode?: number;
  /** Present when the provider is overloaded and to be left alone: for the milliseconds it asked for, or null. */
  coolForMs?: number | null;
  /** The provider's own words; may hold secrets that it repeated. */
  words?: string;
  /** For the log only. */
  detail?: string;
  /** What the endpoint sent in the place of an answer. */
  sent?: string;
}

/** What the SDK throws before it asks: the request holds something that the provider has no way to express. */
const REFUSALS = [InvalidArgumentError, InvalidPromptError, UnsupportedFunctionalityError];
const OVERLOADED = [429, 502, 503, 504, 529];
/** Sorts whatever a provider threw, or sent as an error in its stream. Never throws. */
export function toFailure(error: unknown, nowMs: number): ModelFailure {
  for (const cause of causes(error)) {
    if (cause instanceof UnusableAnswerError) {
      return { kind: 'malformed', complaint: cause.message, ...(cause.sent && { sent: cause.sent }) };
    }
    if (cause instanceof CallDeadlinePassedError) return { kind: 'timeout', complaint: 'took longer than a call may' };
    if (cause instanceof ProviderNotUsableError) return { kind: 'not_configured', complaint: cause.message };
    if (REFUSALS.some((refusal) => refusal.isInstance(cause))) {
      return { kind: 'refused', complaint: 'cannot be asked this', detail: (cause as Error).message };
    }
    if (cause instanceof ModelTransportError) return { kind: transportKind(cause), complaint: cause.message };
    if (cause instanceof ReportedInStreamError) return fromReport(cause.reported);
  }
  const api = causes(error).find((cause): cause is APICallError => APICallError.isInstance(cause));
  if (api?.statusCode !== undefined && (api.statusCode < 200 || api.statusCode >= 300)) {
    const complaint = `answered with status ${api.statusCode}`;
    return {
      ...fromStatus(api.statusCode, retryAfterMs(api.responseHeaders, nowMs)),
      complaint,
      words: wordsOfBody(api),
    };
  }
  // Messages of parsers quote the answer, which is not for the log.
  const detail = causes(error)
    .flatMap((cause) => (cause instanceof Error ? [cause.name] : []))
    .join(' < ');
  return { kind: 'malformed', complaint: 'sent an answer that cannot be read', detail };
}

function transportKind(error: ModelTransportError): ModelFailureKind {
  if (error.fault === 'timeout') return 'timeout';
  return error.fault === 'unreachable' ? 'unavailable' : 'malformed';
}

function fromStatus(
  statusCode: number,
  coolForMs: number | null,
): Pick<ModelFailure, 'kind' | 'statusCode' | 'coolForMs'> {
  if (OVERLOADED.includes(statusCode)) {
    return { statusCode, kind: statusCode === 429 ? 'rate_limited' : 'unavailable', coolForMs };
  }
  if (statusCode === 408) return { statusCode, kind: 'timeout' };
  return { statusCode, kind: statusCode >= 500 ? 'unavailable' : 'refused' };
}

/** The endpoint's own words in a failed response; a page of HTML has none. */
function wordsOfBody({ responseBody, message }: APICallError): string {
  return reportedError(parsedJson(responseBody ?? ''), true)?.words ?? (responseBody?.trim() ? '' : message);
}

function fromReport({ words, status, names }: ReportedError): ModelFailure {
  const told = words === '' ? names.join(', ') : words;
  const complaint = 'reported an error in its answer';
  if (status !== undefined) return { ...fromStatus(status, null), complaint, words: told };
  return { kind: 'unavailable', complaint, words: told };
}

/** `error` and what caused it, outermost first. */
function causes(error: unknown): unknown[] {
  const chain: unknown[] = [];
  for (let at = error; at !== undefined && at !== null && chain.length < 8; at = (at as { cause?: unknown }).cause) {
    chain.push(at);
    if (typeof at !== 'object') break;
  }
  return chain;
}
