import { HttpException } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DomainError, ERRORS, type ErrorCode } from '../errors/index.js';
import type { ProblemDto } from './problem.dto.js';

const LONGEST_INSTANCE = 300;

/** Codes of the framework's own errors, and of statuses that plugins set. */
const BY_FASTIFY_CODE: Record<string, ErrorCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_INVALID_JSON_BODY: 'malformed_json',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'malformed_json',
  FST_ERR_BAD_URL: 'not_found',
  FST_ERR_MAX_PARAM_LENGTH: 'not_found',
};
const BY_STATUS: Record<number, ErrorCode> = {
  400: 'bad_request',
  401: 'unauthenticated',
  // Of the files of /docs: their server forbids paths that lead out of their folder.
  403: 'not_found',
  404: 'not_found',
  405: 'not_found',
  409: 'conflict',
  413: 'payload_too_large',
  414: 'not_found',
  415: 'unsupported_media_type',
  422: 'validation_failed',
  429: 'rate_limited',
  503: 'dependency_unavailable',
};
/** What callers read when an error brings no sentence that is meant for them. */
const SENTENCES: Partial<Record<ErrorCode, string>> = {
  bad_request: 'The request cannot be served as it is.',
  not_found: 'There is no such route.',
  payload_too_large: 'The body is larger than this route takes.',
  unsupported_media_type: 'The body must be JSON, sent as application/json without a Content-Encoding.',
  malformed_json: 'The body is not valid JSON.',
  internal: 'The service met an error of its own; the request id leads to it in the logs.',
};
const RETRY_AFTER_SECONDS: Record<number, number> = { 429: 60, 503: 5 };

/** `error` as an error of the catalogue. Whatever is not known to be fit for callers becomes `internal`. */
export function toDomainError(error: unknown): DomainError {
  if (error instanceof DomainError) return error;
  const { code, statusCode } = (error ?? {}) as { code?: unknown; statusCode?: unknown };
  const status = error instanceof HttpException ? error.getStatus() : typeof statusCode === 'number' ? statusCode : 500;
  const known = (typeof code === 'string' ? BY_FASTIFY_CODE[code] : undefined) ?? BY_STATUS[status];
  const mapped = known ?? (status < 500 ? 'bad_request' : 'internal');
  return new DomainError(mapped, SENTENCES[mapped] ?? `${ERRORS[mapped].title}.`, { cause: error });
}

/** The problem document of `error`. */
export function problemOf(error: DomainError, instance: string, requestId: string): ProblemDto {
  const { status, title } = ERRORS[error.code];
  return {
    type: `urn:problem:${error.code}`,
    title,
    status,
    detail: error.detail.toWellFormed(),
    instance,
    code: error.code,
    request_id: requestId,
    ...(error.errors === undefined ? {} : { errors: error.errors }),
  };
}

/** Headers that belong to `error` whatever route it came from. */
export function problemHeaders(error: DomainError): Record<string, string> {
  const { status } = ERRORS[error.code];
  const retryAfter = error.retryAfterSeconds ?? RETRY_AFTER_SECONDS[status];
  return {
    ...(retryAfter === undefined ? {} : { 'retry-after': String(Math.max(1, Math.ceil(retryAfter))) }),
    ...(status === 401 ? { 'www-authenticate': 'Bearer realm="nova"' } : {}),
    ...error.headers,
  };
}

/** The path of `url`, without its query. */
export function pathOf(url: string): string {
  const path = url.split(/[?#]/, 1)[0] ?? '/';
  return path.length <= LONGEST_INSTANCE ? path : `${path.slice(0, LONGEST_INSTANCE)}…`;
}

/** Answers `request` with the problem document of `error`. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, error: DomainError): void {
  const problem = problemOf(error, pathOf(request.url), String(request.id));
  void reply
    .status(problem.status)
    .headers(problemHeaders(error))
    .type('application/problem+json')
    .send(JSON.stringify(problem));
}
