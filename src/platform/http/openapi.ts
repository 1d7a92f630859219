import { RequestMethod, type INestApplication, type Type } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { MetadataScanner, ModulesContainer } from '@nestjs/core';
import { DocumentBuilder, getSchemaPath, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { ERRORS, type ErrorCode } from '../errors/index.js';
import { ACCESS, type Access } from './access.js';
import { addHeaders } from './openapi-headers.js';
import { refineSchemas } from './openapi-schemas.js';
import { ProblemDto } from './problem.dto.js';
import { PROBLEMS } from './problems.js';

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;
type Responses = Operation['responses'];

const KEY: Record<string, string[]>[] = [{ ApiKey: [] }, { Bearer: [] }, { AdminSecret: [] }];
const SECURITY: Record<Access, Record<string, string[]>[]> = {
  open: [],
  key: KEY,
  credential: KEY,
  admin: [{ AdminSecret: [] }],
  operator: [{ AdminSecret: [] }],
};
const EVERYWHERE: ErrorCode[] = ['origin_not_allowed', 'host_not_allowed'];
const WITH_CREDENTIAL: ErrorCode[] = ['unauthenticated', 'rate_limited', 'dependency_unavailable'];
const BY_ACCESS: Record<Access, ErrorCode[]> = {
  open: EVERYWHERE,
  key: [...EVERYWHERE, ...WITH_CREDENTIAL],
  credential: [...EVERYWHERE, ...WITH_CREDENTIAL],
  admin: [...EVERYWHERE, ...WITH_CREDENTIAL, 'forbidden', 'admin_not_configured'],
  operator: [...EVERYWHERE, ...WITH_CREDENTIAL, 'forbidden', 'admin_not_configured'],
};
const WITH_BODY: ErrorCode[] = ['malformed_json', 'payload_too_large', 'unsupported_media_type'];

/**
 * The OpenAPI 3.1 document of `app`, with the errors that the catalogue and the decorators declare for each operation. With
 * `authRequired` off it says that keys are optional where they are.
 */
export function openApiDocument(
  app: INestApplication,
  about: { version: string; authRequired: boolean },
): OpenAPIObject {
  const settings = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Nova Orchestrator')
    .setDescription('Coordinates AI agents and puts their work through a reviewed five-stage pipeline.')
    .setVersion(about.version)
    .addServer('/', 'Where this document comes from.')
    .addApiKey({ type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'An API key, `sk-nova-…`.' }, 'ApiKey')
    .addBearerAuth({ type: 'http', scheme: 'bearer', bearerFormat: 'sk-nova-…', description: 'An API key.' }, 'Bearer')
    .addApiKey(
      { type: 'apiKey', in: 'header', name: 'X-Admin-Secret', description: 'The admin secret.' },
      'AdminSecret',
    )
    .build();
  const document = SwaggerModule.createDocument(app, settings, {
    operationIdFactory,
    autoTagControllers: false,
    extraModels: [ProblemDto],
  });
  const operations = operationsById(document);
  for (const { controller, method, access = 'admin' } of routesOf(app)) {
    const operation = operations.get(operationIdFactory(controller.name, method));
    if (operation === undefined) continue;
    completeOperation(operation, controller, method, about.authRequired);
    addHeaders(document, operation.operation, access, handlerOf(controller, method));
    const parameters = Reflect.getMetadata('design:paramtypes', controller.prototype as object, method) as
      unknown[] | undefined;
    const classes = (parameters ?? []).filter((one): one is Type<object> => typeof one === 'function');
    refineSchemas(document, operation.operation, operation.verb, classes);
  }
  const tags = new Set([...operations.values()].flatMap(({ operation }) => operation.tags ?? []));
  document.tags = [...tags].sort().map((name) => ({ name }) as { name: string; description: string });
  return document;
}

/** `PipelineTasksController.create` is `pipelineTasksCreate`. */
function operationIdFactory(controller: string, method: string): string {
  const resource = controller.replace(/Controller$/, '');
  return `${resource.charAt(0).toLowerCase()}${resource.slice(1)}${method.charAt(0).toUpperCase()}${method.slice(1)}`;
}

/** `PipelineTasksController` is tagged `pipeline tasks`. */
function tagOf(controller: string): string {
  return controller
    .replace(/Controller$/, '')
    .replace(/(?<!^)([A-Z])/g, ' $1')
    .toLowerCase();
}

interface PlacedOperation {
  path: string;
  verb: string;
  operation: Operation;
}

function operationsById(document: OpenAPIObject): Map<string, PlacedOperation> {
  const found = new Map<string, PlacedOperation>();
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [verb, operation] of Object.entries(item as Record<string, Operation>)) {
      if (operation.operationId !== undefined) found.set(operation.operationId, { path, verb, operation });
    }
  }
  return found;
}

/** Every route of `app`: its controller and the name of its method. */
export function* routesOf(
  app: Pick<INestApplication, 'get'>,
): Generator<{ controller: Type<object>; method: string; access: Access | undefined }> {
  const scanner = new MetadataScanner();
  for (const module of app.get(ModulesContainer).values()) {
    for (const { metatype } of module.controllers.values()) {
      const controller = metatype as Type<object>;
      for (const method of scanner.getAllMethodNames(controller.prototype as object)) {
        const handler = handlerOf(controller, method);
        const verb: unknown = Reflect.getMetadata(METHOD_METADATA, handler);
        if (typeof verb === 'number' && verb in RequestMethod)
          yield { controller, method, access: accessOf(controller, handler) };
      }
    }
  }
}

/** The access that each route of `app` asks for, by its method and the pattern of its URL; undefined for what is no such route. */
export function accessByRoute(app: Pick<INestApplication, 'get'>): (method: string, url: string) => Access | undefined {
  const known = new Map<string, Access>();
  for (const { controller, method, access = 'admin' } of routesOf(app)) {
    const handler = handlerOf(controller, method);
    const verb = RequestMethod[Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod];
    const paths = [controller, handler].map((one) =>
      [Reflect.getMetadata(PATH_METADATA, one) as string | string[]].flat(),
    );
    for (const first of paths[0] ?? [])
      for (const second of paths[1] ?? []) known.set(`${verb} ${joinedPath(first, second)}`, access);
  }
  return (method, url) => known.get(`${method === 'HEAD' ? 'GET' : method} ${url}`);
}

function joinedPath(...parts: string[]): string {
  return `/${parts
    .flatMap((part) => part.split('/'))
    .filter(Boolean)
    .join('/')}`;
}

function handlerOf(controller: Type<object>, method: string): object {
  return (controller.prototype as Record<string, object>)[method] as object;
}

function accessOf(controller: object, handler: object): Access | undefined {
  return (Reflect.getMetadata(ACCESS, handler) ?? Reflect.getMetadata(ACCESS, controller)) as Access | undefined;
}

function completeOperation(
  { path, verb, operation }: PlacedOperation,
  controller: Type<object>,
  method: string,
  authRequired: boolean,
): void {
  const handler = handlerOf(controller, method);
  const access = accessOf(controller, handler) ?? 'admin';
  if (!operation.tags?.length) operation.tags = [tagOf(controller.name)];
  operation.security = access === 'key' && !authRequired ? [...KEY, {}] : SECURITY[access];
  const codes = new Set<ErrorCode>(BY_ACCESS[access]);
  if (verb !== 'get') WITH_BODY.forEach((code) => codes.add(code));
  // Every route of the API refuses query parameters that it does not know.
  if (path.startsWith('/api/')) codes.add('validation_failed');
  for (const code of (Reflect.getMetadata(PROBLEMS, handler) ?? []) as ErrorCode[]) codes.add(code);
  for (const response of Object.values(operation.responses)) {
    const described = response as { description?: string };
    described.description ||= 'Done.';
  }
  addProblems(operation.responses, [...codes]);
}

/** One response for each status; a status that is documented already gets the problem as a further content type. */
function addProblems(responses: Responses, codes: readonly ErrorCode[]): void {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) byStatus.set(ERRORS[code].status, [...(byStatus.get(ERRORS[code].status) ?? []), code]);
  for (const [status, ofStatus] of byStatus) {
    const present = responses[status] as { description?: string; content?: Record<string, unknown> } | undefined;
    const described = ofStatus.map((code) => `\`${code}\`: ${ERRORS[code].title}.`).join(' ');
    responses[status] = {
      description: [present?.description, described].filter(Boolean).join(' '),
      content: { ...present?.content, 'application/problem+json': { schema: { $ref: getSchemaPath(ProblemDto) } } },
      'x-codes': ofStatus,
    } as Responses[string];
  }
}
