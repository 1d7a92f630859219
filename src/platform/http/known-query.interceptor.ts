import {
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
  type RouteParamMetadata,
  type Type,
} from '@nestjs/common';
import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum.js';
import { getMetadataStorage } from 'class-validator';
import type { FastifyRequest } from 'fastify';
import type { Observable } from 'rxjs';
import { DomainError } from '../errors/index.js';
import { pointerStep } from './hostile-input.js';

/** Faults that one answer lists. */
const MOST_FAULTS = 50;

/**
 * Refuses query parameters that the route does not take, so that a misspelt filter never means "everything". It runs after the
 * guards and before the pipes; a route takes what its `@Query` parameters name: one by its own name, or the fields of a class.
 * @throws DomainError `validation_failed` with one pointer for each unknown parameter.
 */
export class KnownQueryInterceptor implements NestInterceptor {
  private readonly known = new WeakMap<object, ReadonlySet<string>>();

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const given = Object.keys((request.query ?? {}) as object);
    if (given.length > 0 && request.routeOptions.url?.startsWith('/api/')) this.refuseUnknown(given, context);
    return next.handle();
  }

  private refuseUnknown(given: readonly string[], context: ExecutionContext): void {
    const handler = context.getHandler();
    let known = this.known.get(handler);
    if (known === undefined) this.known.set(handler, (known = queryNames(context.getClass(), handler.name)));
    const unknown = given.filter((name) => !known.has(name));
    if (unknown.length === 0) return;
    const taken = known.size === 0 ? 'no query parameter' : `only ${[...known].join(', ')}`;
    const shown = unknown.slice(0, 3).map((name) => `"${name.slice(0, 100).toWellFormed()}"`);
    const more = unknown.length > shown.length ? ` and ${unknown.length - shown.length} more` : '';
    const subject = unknown.length === 1 ? 'parameter' : 'parameters';
    const verb = unknown.length === 1 ? 'is' : 'are';
    throw new DomainError(
      'validation_failed',
      `The query ${subject} ${shown.join(', ')}${more} ${verb} not known: this route takes ${taken}.`,
      {
        errors: unknown.slice(0, MOST_FAULTS).map((name) => ({
          pointer: `#/query/${pointerStep(name)}`,
          detail: 'The query parameter is not known.',
        })),
      },
    );
  }
}

/** The names of the query parameters that a route's handler takes. */
function queryNames(controller: Type<object>, method: string): ReadonlySet<string> {
  const types = (Reflect.getMetadata('design:paramtypes', controller.prototype as object, method) ?? []) as unknown[];
  const parameters = (Reflect.getMetadata(ROUTE_ARGS_METADATA, controller, method) ?? {}) as Record<
    string,
    RouteParamMetadata
  >;
  const names = Object.entries(parameters).flatMap(([kind, { index, data }]) => {
    if (!kind.startsWith(`${RouteParamtypes.QUERY}:`)) return [];
    return typeof data === 'string' ? [data] : fieldsOf(types[index]);
  });
  return new Set(names);
}

/** The fields that a query's class validates; no other reaches a handler. */
function fieldsOf(metatype: unknown): string[] {
  if (typeof metatype !== 'function') return [];
  return getMetadataStorage()
    .getTargetValidationMetadatas(metatype, '', false, false)
    .map(({ propertyName }) => propertyName);
}
