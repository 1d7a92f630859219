import type { IncomingMessage } from 'node:http';
import { Logger } from '@nestjs/common';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { AppConfig } from '../../config/index.js';
import { DomainError } from '../errors/index.js';
import { withLogContext, type LogContext } from '../logging/index.js';
import { traceOf, type Metrics } from '../telemetry/index.js';
import { clientAddress } from './client-address.js';
import { DriveByRules } from './drive-by.js';
import { pathOf, sendProblem, toDomainError } from './problem.js';

const contexts = new WeakMap<object, LogContext>();
const NO_ROUTE = 'There is no such route.';
const QUIET = /^\/(health\/|metrics$)/;

/**
 * What happens to every request before its route: an id and a log context, the rules against drive-by pages, refusals
 * while the process ends; and after it: one log line and one measurement, without the query, which may hold anything.
 */
export function hookRequests(
  instance: FastifyInstance,
  config: AppConfig,
  metrics: Metrics,
  lifecycle: { readonly draining: boolean },
): void {
  const logger = new Logger('Http');
  const driveBy = new DriveByRules(config.http);
  const servesApi = config.roles.includes('api');

  instance.addHook('onRequest', (request, reply, done) => {
    const context: LogContext = { request_id: String(request.id), ...traceOf(request.headers.traceparent) };
    contexts.set(request.raw, context);
    withLogContext(context, () => {
      void reply.header('x-request-id', request.id);
      // Keep-alive clients are sent elsewhere while the listener is about to close.
      if (lifecycle.draining) void reply.header('connection', 'close');
      try {
        checkHost(request.raw);
        const path = routePath(request);
        if (path === '/metrics') driveBy.checkLocalRead(request.headers);
        else if (!config.auth.required && !drivesNothing(path)) driveBy.check(request.headers);
        if (!servesApi && path.startsWith('/api/')) {
          throw new DomainError('not_found', 'This process does not serve the API; its ROLES leave it out.');
        }
        // @fastify/cors answers preflights; any other OPTIONS is a method that no route has.
        const preflight =
          request.headers.origin !== undefined && request.headers['access-control-request-method'] !== undefined;
        if (request.method === 'OPTIONS' && !preflight) throw new DomainError('not_found', NO_ROUTE);
      } catch (error) {
        // Sent from here: routes of plugins were registered before Nest's error handler and have none of ours.
        sendProblem(request, reply, toDomainError(error));
        return;
      }
      done();
    });
  });

  // Before the body is read: what it holds does not matter where nothing takes it.
  instance.addHook('preParsing', (request, reply, _payload, done) => {
    if (request.is404) sendProblem(request, reply, new DomainError('not_found', NO_ROUTE));
    else done();
  });

  // Reading a body continues in the socket's own asynchronous context, so the request's is entered anew after it.
  instance.addHook('preValidation', (request, _reply, done) => {
    withLogContext(contexts.get(request.raw) ?? {}, done);
  });

  instance.addHook('onResponse', (request, reply, done) => {
    const { method } = request;
    const route = request.routeOptions.url ?? 'unknown';
    metrics.requests.observe({ method, route, status: String(reply.statusCode) }, reply.elapsedTime / 1_000);
    const line = {
      message: `${method} ${pathOf(request.url)} ${reply.statusCode}`,
      method,
      path: pathOf(request.url),
      route,
      status: reply.statusCode,
      duration_ms: Math.round(reply.elapsedTime * 10) / 10,
      client: clientAddress(request),
      ...contexts.get(request.raw),
    };
    if (QUIET.test(request.url)) logger.debug(line);
    else logger.log(line);
    done();
  });
}

/** The pattern of the route that answers, whatever the URL's spelling of it; the URL's path where none does. */
function routePath({ routeOptions, url, is404 }: FastifyRequest): string {
  const { url: pattern } = routeOptions;
  return is404 || pattern === undefined || pattern === '*' ? pathOf(url) : pattern;
}

/** Probes are asked by a pod's address, and no page drives anything with one. */
function drivesNothing(path: string): boolean {
  return path.startsWith('/health/');
}

/** @throws DomainError `bad_request` for what HTTP/1.1 forbids: no host, or several. */
function checkHost({ headersDistinct, httpVersionMinor }: IncomingMessage): void {
  const hosts = headersDistinct.host?.length ?? 0;
  if (hosts > 1 || (hosts === 0 && httpVersionMinor > 0)) {
    throw new DomainError('bad_request', 'A request names its host once, in the header Host.');
  }
}

const REQUEST_ID = /^[\w.~:+/=@-]{1,128}$/;

/** The caller's `X-Request-Id` when it is short and harmless, else null. */
export function acceptedRequestId(header: string | string[] | undefined): string | null {
  return typeof header === 'string' && REQUEST_ID.test(header) ? header : null;
}
