import { Injectable } from '@nestjs/common';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppConfig } from '../../config/index.js';
import { DomainError } from '../../platform/errors/index.js';
import {
  clientAddress,
  isLocalCaller,
  keepStreamsWhile,
  networkOf,
  showsCredential,
  type Access,
} from '../../platform/http/index.js';
import { AdminSecret } from './admin-secret.js';
import { Authenticator, type Proof } from './authenticator.js';
import type { Caller } from './current-principal.js';

/** Decides who a request comes from and whether a route of some access takes it. */
@Injectable()
export class Admission {
  /** A credential is proven, and a wrong one counted, once for each request. */
  private readonly proofs = new WeakMap<FastifyRequest, Promise<Proof>>();

  constructor(
    private readonly config: AppConfig,
    private readonly authenticator: Authenticator,
    private readonly adminSecret: AdminSecret,
  ) {}

  /**
   * The caller of `request`; null on an open route, and for an operator on this machine.
   * @throws DomainError `unauthenticated`, `forbidden`, `rate_limited`, `admin_not_configured`, `dependency_unavailable`.
   */
  async admit(access: Access, request: FastifyRequest): Promise<Caller | null> {
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
    const proof = await this.proofOf(request);
    return admin ? this.admitAdmin(proof) : this.admitCaller(access === 'credential', proof);
  }

  private async proofOf(request: FastifyRequest): Promise<Proof> {
    const kept = await this.proofs.get(request);
    if (kept !== undefined) {
      // A body may have arrived slowly since.
      if (kept.key === null || (await kept.stillUsable())) return kept;
      throw new DomainError('unauthenticated', 'The API key was revoked or has expired.');
    }
    const proof = this.authenticator.prove(request.headers, networkOf(clientAddress(request))).then((proven) => {
      if (proven.key !== null) keepStreamsWhile(request, proven.stillUsable);
      return proven;
    });
    this.proofs.set(request, proof);
    return proof;
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

/**
 * Refuses who may not call a route before a byte of the body is read. It spares the cost and lets nobody in: the guards ask
 * again, and routes that this hook does not know are theirs alone.
 */
export function admitBeforeBodies(
  instance: FastifyInstance,
  admission: Pick<Admission, 'admit'>,
  accessOf: (method: string, route: string) => Access | undefined,
): void {
  instance.addHook('onRequest', async (request) => {
    const { url } = request.routeOptions;
    const access = request.is404 || url === undefined ? undefined : accessOf(request.method, url);
    if (access !== undefined) await admission.admit(access, request);
  });
}
