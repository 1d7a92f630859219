import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { SwaggerModule } from '@nestjs/swagger';
import type { FastifyHttpOptions, FastifyInstance, FastifyReply, FastifyRequest, RawServerDefault } from 'fastify';
import { AppModule } from './app.module.js';
import type { AppConfig } from './config/index.js';
import { Clock } from './platform/clock/index.js';
import { DomainError } from './platform/errors/index.js';
import { Lifecycle } from './platform/health/index.js';
import {
  acceptedRequestId,
  DEFAULT_BODY_LIMIT,
  endEventStreams,
  honourBodyLimits,
  hookRequests,
  openApiDocument,
  problemOf,
  ProblemFilter,
  RequestPipe,
  sendProblem,
  takeOnlyJson,
  toDomainError,
} from './platform/http/edge.js';
import type { JsonLogger, Scrubber } from './platform/logging/index.js';
import { Metrics } from './platform/telemetry/index.js';

const EXPOSED_HEADERS = [
  'X-Request-Id',
  'X-Session-Id',
  'X-Task-Id',
  'Location',
  'Link',
  'Retry-After',
  'RateLimit',
  'RateLimit-Policy',
  'Idempotency-Replayed',
];
const MOST_CONNECTIONS = 2_000;

/** The service, ready to listen; it has started nothing yet. */
export async function createApp(
  config: AppConfig,
  logger: JsonLogger,
  scrubber: Scrubber,
): Promise<NestFastifyApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.with(config, scrubber),
    fastifyAdapter(config),
    {
      logger,
      bodyParser: false,
      abortOnError: false,
    },
  );
  const instance = app.getHttpAdapter().getInstance() as unknown as FastifyInstance;
  takeOnlyJson(instance);
  honourBodyLimits(instance);
  hookRequests(instance, config, app.get(Metrics), app.get(Lifecycle));
  instance.addHook('preClose', (done) => {
    endEventStreams();
    done();
  });
  instance.server.maxConnections = MOST_CONNECTIONS;
  await shield(instance, config);
  app.useGlobalFilters(new ProblemFilter());
  app.useGlobalPipes(new RequestPipe());
  SwaggerModule.setup(
    'docs',
    app,
    openApiDocument(app, { version: ownVersion(), authRequired: config.auth.required }),
    {
      jsonDocumentUrl: 'openapi.json',
      raw: ['json'],
      customSiteTitle: 'Nova Orchestrator',
      swaggerOptions: { validatorUrl: null },
    },
  );
  return app;
}

function fastifyAdapter(config: AppConfig): FastifyAdapter {
  const clock = new Clock();
  const options: FastifyHttpOptions<RawServerDefault> = {
    logger: false,
    trustProxy: config.http.trustProxyHops > 0 && ((_address, hop): boolean => hop < config.http.trustProxyHops),
    bodyLimit: DEFAULT_BODY_LIMIT,
    genReqId: (request) => acceptedRequestId(request.headers['x-request-id']) ?? clock.newId(),
    // Covers receiving a request only; streams may take as long as they like.
    requestTimeout: 30_000,
    keepAliveTimeout: 5_000,
    maxRequestsPerSocket: 1_000,
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 2_000 },
    // A malformed id is 422 whatever its length; the limit on headers bounds it.
    routerOptions: { maxParamLength: 16_384 },
    // Fastify's own 503 is no problem document, and requests under way are to be answered.
    return503OnClosing: false,
    // A malformed URL never gets to the hooks and filters.
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      void reply.header('x-request-id', request.id);
      sendProblem(request, reply, toDomainError(error));
    },
    clientErrorHandler: (error, socket) => refuseBrokenRequest(error, socket, clock.newId()),
  };
  return new FastifyAdapter(options as FastifyHttpOptions<RawServerDefault> & { skipMiddie?: boolean });
}

/** Answers what Node's parser could not read as a request. */
function refuseBrokenRequest(error: NodeJS.ErrnoException, socket: Socket, requestId: string): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  const refusal = new DomainError(
    'bad_request',
    'The request is not valid HTTP, too slow, or its headers are too large.',
  );
  const body = JSON.stringify(Object.assign(problemOf(refusal, '/', requestId), { status }));
  socket.end(
    `HTTP/1.1 ${status} Bad Request\r\nContent-Type: application/problem+json\r\nX-Request-Id: ${requestId}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** Response headers that browsers act on. Credentials are never allowed, so `*` gives nothing away. */
async function shield(instance: FastifyInstance, config: AppConfig): Promise<void> {
  await instance.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'data:'],
        baseUri: ["'none'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
        objectSrc: ["'none'"],
      },
    },
    // Whether the service is reached over TLS is the proxy's to know.
    hsts: false,
  });
  await instance.register(cors, {
    origin: config.http.corsOrigins.includes('*') ? '*' : [...config.http.corsOrigins],
    methods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
    exposedHeaders: EXPOSED_HEADERS,
    maxAge: 600,
  });
}

function ownVersion(): string {
  const file = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(file) as { version: string }).version;
}
