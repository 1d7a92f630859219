import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { STREAMS } from '../../platform/http/index.js';
import { callerOf } from './current-principal.js';
import { StreamPlaces } from './stream-places.js';

/** The third guard: takes one of the caller's places on a route that always answers with an event stream. */
@Injectable()
export class StreamPlacesGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly places: StreamPlaces,
  ) {}

  /** @throws DomainError `rate_limited`. */
  canActivate(context: ExecutionContext): true {
    const caller = callerOf(context.switchToHttp().getRequest<FastifyRequest>());
    if (caller !== null && this.reflector.get<true | undefined>(STREAMS, context.getHandler()))
      this.places.take(caller.principal, context.switchToHttp().getResponse<FastifyReply>());
    return true;
  }
}
