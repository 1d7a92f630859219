import { ApiProperty } from '@nestjs/swagger';
import { ERRORS, type ErrorCode } from '../errors/index.js';

/** One fault of a request. */
export class FieldFaultDto {
  /** Where: an RFC 6901 pointer as a URI fragment; `#/query/…` and `#/path/…` point outside the body. */
  pointer: string;
  /** The fault, as a sentence. */
  detail: string;
}

/** RFC 9457 problem details: the body of every error. */
export class ProblemDto {
  /** `urn:problem:<code>`. */
  type: string;
  /** The kind of problem, the same for every occurrence. */
  title: string;
  /** The HTTP status. */
  @ApiProperty({ type: 'integer' })
  status: number;
  /** The problem, as a sentence for people. */
  detail: string;
  /** The path of the request. */
  instance: string;
  /** The error's code; `docs/errors.md` lists them all. */
  @ApiProperty({ enum: Object.keys(ERRORS) })
  code: ErrorCode;
  /** The request's id, as in `X-Request-Id` and the logs. */
  request_id: string;
  /** The faulty fields, where the request was not valid. */
  errors?: FieldFaultDto[];
}
