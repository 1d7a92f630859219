import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { Principal } from './principal.js';

const principals = new WeakMap<FastifyRequest, Principal>();

/** Notes who makes `request`, once its credential is proven. */
export function setPrincipal(request: FastifyRequest, principal: Principal): void {
  principals.set(request, principal);
}

/**
 * Who makes `request`.
 * @throws Error on a route that asks for no credential: there is nobody to name.
 */
export function principalOfRequest(request: FastifyRequest): Principal {
  const principal = principals.get(request);
  if (principal === undefined) throw new Error('the route does not ask who calls it');
  return principal;
}

/** A parameter that is the caller, on routes with an access other than `open`. */
export const CurrentPrincipal = createParamDecorator((_data: unknown, context: ExecutionContext) =>
  principalOfRequest(context.switchToHttp().getRequest<FastifyRequest>()),
);
