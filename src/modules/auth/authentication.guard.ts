import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import { AppConfig } from '../../config/index.js';
import { DomainError } from '../../platform/errors/index.js';
import {
  ACCESS,
  clientAddress,
  isLocalCaller,
  keepStreamsWhile,
  networkOf,
  showsCredential,
  type Access,
} from '../../platform/http/index.js';
import { AdminSecret } from './admin-secret.js';
import { Authenticator, type Proof } from './authenticator.js';
import { setCaller, type Caller } from './current-principal.js';

/**
 * The first guard, in front of every route: asks for what the route declares, and for the admin credential where a route
 * declares nothing. Notes who calls; on an open route, and for an operator on this machine, that is nobody.
 */
@Injectable()
export class AuthenticationGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly config: AppConfig,
    private readonly authenticator: Authenticator,
    private readonly adminSecret: AdminSecret,
  ) {}

  /** @throws DomainError `unauthenticated`, `forbidden`, `rate_limited`, `admin_not_configured`, `dependency_unavailable`. */
  async canActivate(context: ExecutionContext): Promise<true> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const declared = this.reflector.getAllAndOverride<Access | undefined>(ACCESS, [
      context.getHandler(),
      context.getClass(),
    ]);
    const caller = await this.admit(declared ?? 'admin', request);
    if (caller !== null) setCaller(request, caller);
    return true;
  }

  private async admit(access: Access, request: FastifyRequest): Promise<Caller | null> {
    if (access === 'open') return null;
    // Who shows a credential is judged by it, wherever it comes from: the drive-by rules let such a caller use any host name.
    const bare = access === 'operator' && !showsCredential(request.headers);
    if (bare && isLocalCaller(request, this.config.http.trustProxyHops)) return null;
    const admin = access === 'admin' || access === 'operator';
    if (admin && !this.adminSecret.configured) {
      throw new DomainError('admin_not_configured', 'No ADMIN_SECRET is configured, so the admin routes are closed.', {
        retryAfterSeconds: 60,
      });
    }
    const network = networkOf(clientAddress(request));
    const proof = await this.authenticator.prove(request.headers, network);
    if (proof.key !== null) keepStreamsWhile(request, proof.stillUsable);
    return admin ? this.admitAdmin(proof) : this.admitCaller(access === 'credential', proof);
  }

  private admitAdmin(proof: Proof): Caller {
    if (proof.admin === 'proven') return { principal: { kind: 'admin' }, requestsPerMinute: null };
    if (proof.admin === 'wrong') throw new DomainError('forbidden', 'The admin secret is wrong.');
    if (proof.key !== null)
      throw new DomainError('forbidden', 'This route needs the admin secret; an API key is not enough.');
    throw new DomainError('unauthenticated', 'This route needs the admin secret in X-Admin-Secret.');
  }

  private admitCaller(always: boolean, proof: Proof): Caller {
    if (proof.admin === 'proven') return { principal: { kind: 'admin' }, requestsPerMinute: null };
    if (proof.key !== null) {
      const { id, name, rateLimitRpm } = proof.key;
      return { principal: { kind: 'key', keyId: id, name }, requestsPerMinute: rateLimitRpm };
    }
    if (proof.admin === 'wrong') throw new DomainError('unauthenticated', 'The admin secret is wrong.');
    if (always || this.config.auth.required) {
      throw new DomainError('unauthenticated', 'This route needs an API key in X-API-Key or as a bearer token.');
    }
    return { principal: { kind: 'anonymous' }, requestsPerMinute: this.config.auth.anonymousRpm };
  }
}
