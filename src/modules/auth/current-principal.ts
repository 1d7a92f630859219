import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { Principal } from './principal.js';

/** Who makes a request, and how many of them a minute; null is any number. */
export interface Caller {
  readonly principal: Principal;
  readonly requestsPerMinute: number | null;
}

const callers = new WeakMap<FastifyRequest, Caller>();

/** Notes who makes `request`, once its credential is proven. */
export function setCaller(request: FastifyRequest, caller: Caller): void {
  callers.set(request, caller);
}

/** Who makes `request`; null where no credential was asked for. */
export function callerOf(request: FastifyRequest): Caller | null {
  return callers.get(request) ?? null;
}

/**
 * Who makes `request`.
 * @throws Error on a route that asks for no credential: there is nobody to name.
 */
function principalOfRequest(request: FastifyRequest): Principal {
  const caller = callerOf(request);
  if (caller === null) throw new Error('the route does not ask who calls it');
  return caller.principal;
}

/** A parameter that is the caller, on routes with an access other than `open`. */
export const CurrentPrincipal = createParamDecorator((_data: unknown, context: ExecutionContext) =>
  principalOfRequest(context.switchToHttp().getRequest<FastifyRequest>()),
);
