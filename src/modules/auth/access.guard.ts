import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppConfig } from '../../config/index.js';
import { DomainError } from '../../platform/errors/index.js';
import {
  ACCESS,
  clientAddress,
  isLocalCaller,
  keepStreamsWhile,
  networkOf,
  showsCredential,
  STREAMS,
  type Access,
} from '../../platform/http/index.js';
import { RateLimiter } from '../../platform/redis/index.js';
import { AdminSecret } from './admin-secret.js';
import { Authenticator, type Proof } from './authenticator.js';
import { setPrincipal } from './current-principal.js';
import type { Principal } from './principal.js';
import { StreamPlaces } from './stream-places.js';

/**
 * The one guard, in front of every route: asks for what the route declares, and for the admin credential where a route
 * declares nothing.
 */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly config: AppConfig,
    private readonly authenticator: Authenticator,
    private readonly adminSecret: AdminSecret,
    private readonly limiter: RateLimiter,
    private readonly streams: StreamPlaces,
  ) {}

  /** @throws DomainError `unauthenticated`, `forbidden`, `rate_limited`, `admin_not_configured`, `dependency_unavailable`. */
  async canActivate(context: ExecutionContext): Promise<true> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    const declared = this.reflector.getAllAndOverride<Access | undefined>(ACCESS, [
      context.getHandler(),
      context.getClass(),
    ]);
    const principal = await this.admit(declared ?? 'admin', request);
    if (principal === null) return true;
    setPrincipal(request, principal.principal);
    await this.limit(principal, request, reply);
    if (this.reflector.get<true | undefined>(STREAMS, context.getHandler()))
      this.streams.take(principal.principal, reply);
    return true;
  }

  private async admit(access: Access, request: FastifyRequest): Promise<Admitted | null> {
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
    return admin ? this.admitAdmin(proof, network) : this.admitCaller(access === 'credential', proof, network);
  }

  private async admitAdmin(proof: Proof, network: string): Promise<Admitted> {
    if (proof.admin === 'proven') return { principal: { kind: 'admin' }, rpm: null };
    if (proof.admin === 'wrong') {
      await this.authenticator.countFailure(network);
      throw new DomainError('forbidden', 'The admin secret is wrong.');
    }
    if (proof.key !== null)
      throw new DomainError('forbidden', 'This route needs the admin secret; an API key is not enough.');
    throw new DomainError('unauthenticated', 'This route needs the admin secret in X-Admin-Secret.');
  }

  private async admitCaller(always: boolean, proof: Proof, network: string): Promise<Admitted> {
    if (proof.admin === 'proven') return { principal: { kind: 'admin' }, rpm: null };
    if (proof.key !== null) {
      const { id, name, rateLimitRpm } = proof.key;
      return { principal: { kind: 'key', keyId: id, name }, rpm: rateLimitRpm };
    }
    if (proof.admin === 'wrong') {
      await this.authenticator.countFailure(network);
      throw new DomainError('unauthenticated', 'The admin secret is wrong.');
    }
    if (always || this.config.auth.required) {
      throw new DomainError('unauthenticated', 'This route needs an API key in X-API-Key or as a bearer token.');
    }
    return { principal: { kind: 'anonymous' }, rpm: this.config.auth.anonymousRpm };
  }

  /** Headers as in the IETF draft: a policy of so many requests a minute, and what is left of it. */
  private async limit({ principal, rpm }: Admitted, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (rpm === null) return;
    const caller =
      principal.kind === 'key' ? `key:${principal.keyId}` : `anonymous:${networkOf(clientAddress(request))}`;
    const verdict = await this.limiter.take(caller, rpm, 60);
    void reply.header('ratelimit-policy', `"requests";q=${verdict.limit};w=60`);
    void reply.header('ratelimit', `"requests";r=${verdict.remaining};t=${Math.ceil(verdict.resetSeconds)}`);
    if (verdict.allowed) return;
    throw new DomainError('rate_limited', `This caller may make ${verdict.limit} requests a minute; try again later.`, {
      retryAfterSeconds: verdict.resetSeconds,
    });
  }
}

/** A caller and its allowance of requests a minute; null is none. */
interface Admitted {
  readonly principal: Principal;
  readonly rpm: number | null;
}
