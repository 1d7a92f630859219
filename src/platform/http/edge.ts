/** What the bootstrap wires around every route; features need none of it. */
export { DEFAULT_BODY_LIMIT, honourBodyLimits } from './body-limit.js';
export { boundConnections } from './bounded-connections.js';
export { endEventStreams } from './event-stream.js';
export { takeOnlyJson } from './json-body.js';
export { EXPOSED_HEADERS } from './openapi-headers.js';
export { KnownQueryInterceptor } from './known-query.interceptor.js';
export { accessByRoute, openApiDocument, routesOf } from './openapi.js';
export { ProblemFilter } from './problem.filter.js';
export { problemOf, sendProblem, toDomainError } from './problem.js';
export { acceptedRequestId, hookRequests } from './request-hooks.js';
export { RequestPipe } from './request.pipe.js';
