import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import { ACCESS, type Access } from '../../platform/http/index.js';
import { Admission } from './admission.js';
import { setCaller } from './current-principal.js';

/**
 * The first guard, in front of every route: asks for what the route declares, and for the admin credential where a route
 * declares nothing. Notes who calls; on an open route, and for an operator on this machine, that is nobody.
 */
@Injectable()
export class AuthenticationGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly admission: Admission,
  ) {}

  /** @throws DomainError `unauthenticated`, `forbidden`, `rate_limited`, `admin_not_configured`, `dependency_unavailable`. */
  async canActivate(context: ExecutionContext): Promise<true> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const declared = this.reflector.getAllAndOverride<Access | undefined>(ACCESS, [
      context.getHandler(),
      context.getClass(),
    ]);
    const caller = await this.admission.admit(declared ?? 'admin', request);
    if (caller !== null) setCaller(request, caller);
    return true;
  }
}
