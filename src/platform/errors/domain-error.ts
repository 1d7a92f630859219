import type { ErrorCode } from './catalogue.js';

/** One fault of a request: where (RFC 6901 pointer as a URI fragment, `#/name`) and what, as a sentence. */
export interface FieldFault {
  pointer: string;
  detail: string;
}

export interface DomainErrorOptions {
  cause?: unknown;
  errors?: FieldFault[];
  /** Seconds; becomes `Retry-After`. 429 and 503 always carry one. */
  retryAfterSeconds?: number;
  /** Further response headers. */
  headers?: Record<string, string>;
}

/**
 * What services throw. `code` decides the status (see the catalogue), `detail` is a sentence for people and reaches the
 * caller unchanged, so it never holds a secret or an internal message.
 */
export class DomainError extends Error {
  override readonly name = 'DomainError';
  readonly errors: FieldFault[] | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly headers: Record<string, string> | undefined;

  constructor(
    readonly code: ErrorCode,
    readonly detail: string,
    options: DomainErrorOptions = {},
  ) {
    super(detail, { cause: options.cause });
    this.errors = options.errors;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.headers = options.headers;
  }

  /** 404 for a resource of a kind, for example `DomainError.notFound('task', id)`. */
  static notFound(kind: string, id: string): DomainError {
    return new DomainError('not_found', `There is no ${kind} with the id ${id}.`);
  }

  /** 422 with one faulty field. */
  static invalid(pointer: string, detail: string): DomainError {
    return new DomainError('validation_failed', detail, { errors: [{ pointer, detail }] });
  }
}
