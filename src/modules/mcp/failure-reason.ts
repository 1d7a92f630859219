import {
  InsufficientScopeError,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
  SseError,
  UnauthorizedError,
} from '@modelcontextprotocol/client';
import { SandboxRefusedError } from '../tools/index.js';
import { DomainError } from '../../platform/errors/index.js';
import { EgressRefusedError } from '../../platform/egress/index.js';

/** The program of a server ended; the message says how, and what it said last. */
export class ServerEndedError extends Error {
  override readonly name = 'ServerEndedError';
}

const SYSTEM: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such program',
  EACCES: 'the program may not be run',
  E2BIG: 'its arguments and environment are too large',
  ENOTFOUND: 'its name does not resolve',
  EAI_AGAIN: 'its name does not resolve at the moment',
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was reset',
  ETIMEDOUT: 'it could not be reached in time',
  UND_ERR_CONNECT_TIMEOUT: 'it could not be reached in time',
  UND_ERR_HEADERS_TIMEOUT: 'it did not answer in time',
  UND_ERR_SOCKET: 'the connection was cut',
};

/**
 * Why a connection or a call failed, as it was said, to be freed of secrets and then cut: never what the other side wrote
 * into an error's body or headers, since that may be what an address inside this network answered.
 */
export function failureReason(error: unknown): string {
  if (error instanceof ServerEndedError) return error.message;
  const chain: Error[] = [];
  for (let one = error; one instanceof Error && chain.length < 10; one = one.cause) chain.push(one);
  for (const one of chain) {
    if (one instanceof EgressRefusedError || one instanceof SandboxRefusedError) return one.message.replace(/\.$/, '');
    if (one instanceof DomainError) return one.detail.replace(/\.$/, '');
    const answered = httpStatus(one);
    if (answered !== undefined) return `it answered with HTTP status ${answered}`;
    const code = (one as NodeJS.ErrnoException).code;
    const known = code === undefined ? undefined : SYSTEM[code];
    if (known !== undefined) return known;
    if (sdkCode(one) === SdkErrorCode.RequestTimeout) return 'it did not answer in time';
    if (sdkCode(one) === SdkErrorCode.ConnectionClosed) return 'it closed the connection';
    if (sdkCode(one) === SdkErrorCode.CapabilityNotSupported) return 'it asked for input, which nobody here gives';
    if (sdkCode(one) === SdkErrorCode.InputRequiredRoundsExceeded) return 'it put off its answer too often';
  }
  const method = SdkError.isInstance(error)
    ? /^Invalid result for ([a-z/]{1,40}):/.exec(error.message)?.[1]
    : undefined;
  if (method !== undefined) return `its answer to ${method} is not what the protocol says`;
  if (SdkError.isInstance(error)) return 'it does not speak the protocol as it should';
  if (!(error instanceof Error)) return 'the reason is not known';
  return error.message.replace(/^SSE error: |\.$/g, '');
}

function sdkCode(error: unknown): string | undefined {
  return SdkError.isInstance(error) ? error.code : undefined;
}

function httpStatus(error: unknown): number | undefined {
  if (UnauthorizedError.isInstance(error)) return 401;
  if (InsufficientScopeError.isInstance(error)) return 403;
  if (error instanceof SseError) return error.code;
  return SdkHttpError.isInstance(error) ? error.status : undefined;
}

/** Statuses with which a server says that it has not begun. */
const NOT_BEGUN: readonly (number | undefined)[] = [401, 403, 404, 405, 410, 413, 415, 429];
/** Failures of a connection before anything was sent on it. */
const NOT_CONNECTED: readonly (string | undefined)[] = [
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
];

/** Whether an HTTP server refused a message because it no longer knows the session: nothing of it was done. */
export function isForgottenSession(error: unknown): boolean {
  if (!SdkHttpError.isInstance(error)) return false;
  return error.status === 404 || error.status === 410 || (error.status === 400 && /session/i.test(error.message));
}

/** Whether a call failed before it could have any effect. */
export function isBeforeEffect(error: unknown): boolean {
  for (let one = error, depth = 0; one instanceof Error && depth < 10; one = one.cause, depth += 1) {
    if (one instanceof EgressRefusedError && !/answer/.test(one.message)) return true;
    if (NOT_CONNECTED.includes((one as NodeJS.ErrnoException).code) || NOT_BEGUN.includes(httpStatus(one))) return true;
  }
  return false;
}
