import { SetMetadata } from '@nestjs/common';
import type { OpenAPIObject } from '@nestjs/swagger';
import type { Access } from './access.js';

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;

const text = (description: string): object => ({ description, schema: { type: 'string' } });
const seconds = (description: string): object => ({ description, schema: { type: 'integer', minimum: 1 } });

/** The response headers that mean something to clients. Browsers are shown them, and the OpenAPI document describes them. */
const HEADERS = {
  'X-Request-Id': text("The request's id, the caller's own when it sent a harmless one."),
  'X-Session-Id': { description: 'The session that answers.', schema: { type: 'string', maxLength: 128 } },
  'X-Task-Id': { description: 'The turn that answers.', schema: { type: 'string', format: 'uuid' } },
  Location: text('The path of what was made, or of what is being made.'),
  Link: text('`rel="next"`: the next page, with the query that was asked; absent on the last one.'),
  'Retry-After': seconds('Seconds to wait before another try.'),
  RateLimit: text(
    'What is left of the policy: `"requests";r=<left>;t=<seconds until it is renewed>`. Absent without one.',
  ),
  'RateLimit-Policy': text('`"requests";q=<requests>;w=<seconds>`. Absent for callers without a limit.'),
  'Idempotency-Replayed': {
    description: 'Present when the Idempotency-Key was used before: the answer shows what was made then.',
    schema: { type: 'string', enum: ['true'] },
  },
} as const satisfies Record<string, object>;

export type HeaderName = keyof typeof HEADERS;
export const EXPOSED_HEADERS = Object.keys(HEADERS) as HeaderName[];

/** Metadata key of the headers that an operation's success has. */
const SENT = 'nova:sent-headers';

/** Declares the headers of an operation's success, beside those that every operation of its kind has. */
export const Sends = (...names: HeaderName[]): MethodDecorator => SetMetadata(SENT, names);

/** Describes the headers of every response of `operation`. */
export function addHeaders(document: OpenAPIObject, operation: Operation, access: Access, handler: object): void {
  document.components = { ...document.components, headers: HEADERS as never };
  const own = (Reflect.getMetadata(SENT, handler) ?? []) as HeaderName[];
  const isList = operation.parameters?.some((one) => 'name' in one && one.name === 'cursor') ?? false;
  const limited: HeaderName[] = access === 'key' || access === 'credential' ? ['RateLimit', 'RateLimit-Policy'] : [];
  for (const [status, response] of Object.entries(operation.responses)) {
    const problem = Object.hasOwn((response as { content?: object }).content ?? {}, 'application/problem+json');
    const codes = ((response as { 'x-codes'?: string[] })['x-codes'] ?? []) as string[];
    const names: HeaderName[] = ['X-Request-Id', ...limited];
    if (status.startsWith('2')) names.push(...own, ...(isList ? (['Link'] as const) : []));
    if (problem && (status === '429' || status === '503')) names.push('Retry-After');
    if (codes.includes('idempotency_in_flight')) names.push('Location');
    Object.assign(response as object, {
      headers: Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }])),
    });
  }
}
