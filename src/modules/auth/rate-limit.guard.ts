import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DomainError } from '../../platform/errors/index.js';
import { clientAddress, networkOf } from '../../platform/http/index.js';
import { RateLimiter } from '../../platform/redis/index.js';
import { callerOf } from './current-principal.js';

/**
 * The second guard: takes one request off the caller's allowance of a minute and says what is left, in headers as in the IETF
 * draft. Callers without a key share the allowance of their network.
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  constructor(private readonly limiter: RateLimiter) {}

  /** @throws DomainError `rate_limited`. */
  async canActivate(context: ExecutionContext): Promise<true> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const caller = callerOf(request);
    if (caller === null || caller.requestsPerMinute === null) return true;
    const { principal, requestsPerMinute } = caller;
    const name = principal.kind === 'key' ? `key:${principal.keyId}` : `anonymous:${networkOf(clientAddress(request))}`;
    const verdict = await this.limiter.take(name, requestsPerMinute, 60);
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    void reply.header('ratelimit-policy', `"requests";q=${verdict.limit};w=60`);
    void reply.header('ratelimit', `"requests";r=${verdict.remaining};t=${Math.ceil(verdict.resetSeconds)}`);
    if (verdict.allowed) return true;
    throw new DomainError('rate_limited', `This caller may make ${verdict.limit} requests a minute; try again later.`, {
      retryAfterSeconds: verdict.resetSeconds,
    });
  }
}
