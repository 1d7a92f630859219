import { readFileSync } from 'node:fs';
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { SwaggerModule } from '@nestjs/swagger';
import type { FastifyHttpOptions, FastifyInstance, FastifyReply, FastifyRequest, RawServerDefault } from 'fastify';
import { AppModule } from './app.module.js';
import type { AppConfig } from './config/index.js';
import { Admission, admitBeforeBodies } from './modules/auth/index.js';
import { Clock } from './platform/clock/index.js';
import { DomainError } from './platform/errors/index.js';
import { Lifecycle, mostConnections } from './platform/health/index.js';
import {
  acceptedRequestId,
  accessByRoute,
  boundConnections,
  DEFAULT_BODY_LIMIT,
  endEventStreams,
  EXPOSED_HEADERS,
  honourBodyLimits,
  hookRequests,
  KnownQueryInterceptor,
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
  await shield(instance);
  hookRequests(instance, config, app.get(Metrics), app.get(Lifecycle));
  instance.addHook('preClose', (done) => {
    endEventStreams();
    done();
  });
  await allowOrigins(instance, config);
  admitBeforeBodies(instance, app.get(Admission), accessByRoute(app));
  instance.server.maxConnections = mostConnections(config);
  boundConnections(instance.server, {
    most: config.http.connectionsPerAddress,
    behindProxy: config.http.trustProxyHops > 0,
  });
  serveAsAnyOther(instance);
  app.useGlobalFilters(new ProblemFilter());
  app.useGlobalInterceptors(new KnownQueryInterceptor());
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
    // The hooks refuse a request without a host themselves: Node's refusal is no problem document.
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 2_000, requireHostHeader: false },
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

/** Requests that Node would answer itself, without a problem document. */
function serveAsAnyOther({ server }: FastifyInstance): void {
  // An expectation that is not known may be left alone.
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
    server.emit('request', request, response),
  );
  server.on('connect', (request: IncomingMessage, socket: Duplex) => {
    const id = acceptedRequestId(request.headers['x-request-id']) ?? new Clock().newId();
    writeProblem(socket, new DomainError('not_found', 'There is no such route.'), 404, id);
  });
}

const BROKEN_REQUESTS: Partial<Record<string, [status: number, detail: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'The URL and the headers of the request are larger than 16 KiB together.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request took too long to arrive.'],
};

/** Answers what Node's parser could not read as a request. */
function refuseBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex, requestId: string): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, detail] = BROKEN_REQUESTS[error.code ?? ''] ?? [400, 'The request is not valid HTTP.'];
  writeProblem(socket, new DomainError('bad_request', detail), status, requestId);
}

function writeProblem(socket: Duplex, problem: DomainError, status: number, requestId: string): void {
  const body = JSON.stringify(Object.assign(problemOf(problem, '/', requestId), { status }));
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/problem+json\r\nX-Request-Id: ${requestId}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** Response headers that browsers act on; refusals have them too. */
async function shield(instance: FastifyInstance): Promise<void> {
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
}

/** Credentials are never allowed, so `*` gives nothing away. After the rules against drive-by pages: it answers preflights. */
async function allowOrigins(instance: FastifyInstance, config: AppConfig): Promise<void> {
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
