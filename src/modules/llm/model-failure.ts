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

/** An answer that came and cannot be used. `message` goes on after "The model …". */
export class UnusableAnswerError extends Error {
  override readonly name = 'UnusableAnswerError';
}

/** A call that took longer than a whole call may. */
export class CallDeadlinePassedError extends Error {
  override readonly name = 'CallDeadlinePassedError';
}

/** An error that a provider sent inside its stream, after a 200. */
export class ReportedInStreamError extends Error {
  override readonly name = 'ReportedInStreamError';
  constructor(readonly reported: unknown) {
    super('the provider reported an error in its stream', { cause: reported });
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
  /** For the log only; may hold secrets that the provider repeated. */
  detail?: string;
}

/** What the SDK throws before it asks: the request holds something that the provider has no way to express. */
const REFUSALS = [InvalidArgumentError, InvalidPromptError, UnsupportedFunctionalityError];
const OVERLOADED = [429, 502, 503, 504, 529];
/** What providers call such errors where they have no status to send. */
const STATUS_OF_TYPE: Readonly<Record<string, number>> = {
  overloaded_error: 529,
  overloaded: 529,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  insufficient_quota: 429,
};

/** Sorts whatever a provider threw, or sent as an error in its stream. Never throws. */
export function toFailure(error: unknown, nowMs: number): ModelFailure {
  for (const cause of causes(error)) {
    if (cause instanceof UnusableAnswerError) return { kind: 'malformed', complaint: cause.message };
    if (cause instanceof CallDeadlinePassedError) return { kind: 'timeout', complaint: 'took longer than a call may' };
    if (cause instanceof ProviderNotUsableError) return { kind: 'not_configured', complaint: cause.message };
    if (REFUSALS.some((refusal) => refusal.isInstance(cause))) {
      return { kind: 'refused', complaint: 'cannot be asked this', detail: (cause as Error).message };
    }
    if (cause instanceof ModelTransportError) return { kind: transportKind(cause), complaint: cause.message };
  }
  const api = causes(error).find((cause): cause is APICallError => APICallError.isInstance(cause));
  if (api?.statusCode !== undefined && (api.statusCode < 200 || api.statusCode >= 300)) {
    return fromStatus(api.statusCode, retryAfterMs(api.responseHeaders, nowMs), api.message);
  }
  if (error instanceof ReportedInStreamError && !(error.reported instanceof Error)) return fromReport(error.reported);
  // Messages of parsers quote the answer, which is not for the log.
  const detail = causes(error)
    .flatMap((cause) => (cause instanceof Error ? [cause.name] : []))
    .join(' < ');
  return { kind: 'malformed', complaint: 'sent an answer that cannot be read', detail };
}

/** Whether `error` is an endpoint's refusal of the schema that was asked of it. */
export function refusesSchema(error: unknown): boolean {
  return causes(error).some(
    (cause) =>
      APICallError.isInstance(cause) &&
      (cause.statusCode === 400 || cause.statusCode === 422) &&
      /response_format|json_schema|json_object|text\.format|output_format|output_config|structured.?output/i.test(
        `${cause.message} ${cause.responseBody ?? ''}`,
      ),
  );
}

function transportKind(error: ModelTransportError): ModelFailureKind {
  if (error.fault === 'timeout') return 'timeout';
  return error.fault === 'unreachable' ? 'unavailable' : 'malformed';
}

function fromStatus(statusCode: number, coolForMs: number | null, detail: string): ModelFailure {
  const failure = { complaint: `answered with status ${statusCode}`, statusCode, detail };
  if (OVERLOADED.includes(statusCode)) {
    return { ...failure, kind: statusCode === 429 ? 'rate_limited' : 'unavailable', coolForMs };
  }
  if (statusCode === 408) return { ...failure, kind: 'timeout' };
  return { ...failure, kind: statusCode >= 500 ? 'unavailable' : 'refused' };
}

function fromReport(report: unknown): ModelFailure {
  let detail = '';
  if (typeof report === 'object' && report !== null) {
    const { type, code, status, message } = report as Record<'type' | 'code' | 'status' | 'message', unknown>;
    if (typeof message === 'string') detail = message;
    const named = [type, code].map((name) => (typeof name === 'string' ? STATUS_OF_TYPE[name] : undefined));
    const statusCode = [status, code, ...named].map(Number).find((number) => number >= 400 && number <= 599);
    if (statusCode !== undefined) return fromStatus(statusCode, null, detail);
  }
  return { kind: 'unavailable', complaint: 'reported an error in mid-answer', detail };
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
