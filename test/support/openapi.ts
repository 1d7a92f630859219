import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { Service } from './service.js';

type Json = Record<string, unknown>;

export interface Operation {
  readonly method: string;
  /** The path with its `{parameters}`. */
  readonly path: string;
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly security: readonly Json[];
  readonly parameters: readonly { name: string; in: string; required?: boolean; schema?: Json }[];
  readonly requestBody?: { required?: boolean; content: Record<string, { schema: Json }> };
  readonly responses: Record<
    string,
    {
      description: string;
      headers?: Record<string, Json>;
      content?: Record<string, { schema?: Json }>;
      'x-codes'?: string[];
    }
  >;
}

export interface Document {
  openapi: string;
  paths: Record<string, Record<string, Omit<Operation, 'method' | 'path'>>>;
  components: { schemas: Record<string, Json>; securitySchemes: Record<string, Json> };
}

/** An answer that was found to be as the document says. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed JSON, or the text of anything else; null without content. */
  // eslint-disable-next-line typescript/no-explicit-any -- the schema was checked, specs assert on fields
  readonly body: any;
}

export interface Call {
  json?: unknown;
  headers?: Record<string, string>;
  /** A raw API key, or `admin`; nobody when absent. */
  as?: string;
  /** Checks status and content type only and leaves the body to `response`. */
  stream?: boolean;
  signal?: AbortSignal;
}

export interface Api {
  readonly document: Document;
  readonly operations: readonly Operation[];
  /** Calls the service and checks the answer against its own document: status, content type, schema, error code. */
  call(method: string, path: string, call?: Call): Promise<Answer>;
  /** `call` for a stream: the checked, unread response. */
  stream(method: string, path: string, call?: Call): Promise<Response>;
}

/** A client of `service` that believes nothing its `/openapi.json` does not say. */
export async function api(service: Pick<Service, 'url' | 'adminSecret'>): Promise<Api> {
  const document = (await (await fetch(`${service.url}/openapi.json`)).json()) as Document;
  const operations = operationsOf(document);
  const validatorOf = validators(document);

  const send = async (
    method: string,
    path: string,
    call: Call,
  ): Promise<{ response: Response; operation: Operation }> => {
    const operation = findOperation(operations, method, path);
    const headers = new Headers(call.headers);
    if (call.as === 'admin') headers.set('x-admin-secret', service.adminSecret);
    else if (call.as !== undefined) headers.set('x-api-key', call.as);
    if (call.json !== undefined) headers.set('content-type', 'application/json');
    const response = await fetch(`${service.url}${path}`, {
      method,
      headers,
      redirect: 'error',
      ...(call.json === undefined ? {} : { body: JSON.stringify(call.json) }),
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    });
    return { response, operation };
  };

  return {
    document,
    operations,
    call: async (method, path, call = {}) => {
      const { response, operation } = await send(method, path, call);
      const text = await response.text();
      const media = mediaType(response);
      const body: unknown = media === '' ? null : /\bjson$/.test(media) ? JSON.parse(text) : text;
      checkAnswer(operation, response, body, validatorOf);
      return { status: response.status, headers: response.headers, body };
    },
    stream: async (method, path, call = {}) => {
      const { response, operation } = await send(method, path, call);
      documented(operation, response);
      return response;
    },
  };
}

/** Headers that clients act on. */
const TELLING_HEADERS = [
  'x-request-id',
  'x-session-id',
  'x-task-id',
  'location',
  'link',
  'retry-after',
  'ratelimit',
  'ratelimit-policy',
  'idempotency-replayed',
];

/** Every operation of `document`. */
export function operationsOf(document: Document): Operation[] {
  return Object.entries(document.paths).flatMap(([path, verbs]) =>
    Object.entries(verbs).map(([verb, operation]) => ({ ...operation, method: verb.toUpperCase(), path })),
  );
}

/** What keeps clients from being generated out of `document`, as sentences; empty when nothing does. */
export function documentFaults(document: Document): string[] {
  const faults: string[] = [];
  const seen = new Set<string>();
  if (!document.openapi.startsWith('3.1.')) faults.push(`the document is OpenAPI ${document.openapi}`);
  for (const operation of operationsOf(document)) {
    const where = `${operation.method} ${operation.path}`;
    if (!operation.operationId) faults.push(`${where} has no operationId`);
    if (seen.has(operation.operationId)) faults.push(`${where} shares its operationId ${operation.operationId}`);
    seen.add(operation.operationId);
    if (!operation.tags?.length) faults.push(`${where} has no tag`);
    if (!Array.isArray(operation.security)) faults.push(`${where} says nothing about security`);
    for (const scheme of (operation.security ?? []).flatMap((one) => Object.keys(one))) {
      if (!(scheme in document.components.securitySchemes)) faults.push(`${where} names the unknown scheme ${scheme}`);
    }
    for (const parameter of operation.parameters ?? []) {
      if (!typed(parameter.schema)) faults.push(`${where}: the parameter ${parameter.name} has no type`);
    }
    const inPath = [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    for (const name of inPath) {
      if (!operation.parameters?.some((one) => one.in === 'path' && one.name === name)) {
        faults.push(`${where} does not describe {${name}}`);
      }
    }
    for (const [media, { schema }] of Object.entries(operation.requestBody?.content ?? {})) {
      if (!typed(schema)) faults.push(`${where}: the ${media} body has no schema`);
    }
    const statuses = Object.keys(operation.responses);
    if (!statuses.some((status) => /^2\d\d$/.test(status))) faults.push(`${where} never succeeds`);
    for (const [status, response] of Object.entries(operation.responses)) {
      if (!response.description) faults.push(`${where} ${status} has no description`);
      if (status === '204') continue;
      const content = Object.entries(response.content ?? {});
      if (content.length === 0) faults.push(`${where} ${status} has no content`);
      for (const [media, { schema }] of content)
        if (!typed(schema)) faults.push(`${where} ${status} ${media} has no schema`);
      const isProblem = content.some(([media]) => media === 'application/problem+json');
      if (/^[45]/.test(status) && !isProblem && operation.path !== '/health/ready')
        faults.push(`${where} ${status} is no problem`);
    }
  }
  for (const [name, schema] of Object.entries(document.components.schemas)) faults.push(...schemaFaults(name, schema));
  return faults;
}

function typed(schema: Json | undefined): boolean {
  return (
    schema !== undefined && ['$ref', 'type', 'oneOf', 'anyOf', 'allOf', 'enum'].some((keyword) => keyword in schema)
  );
}

/** Fields without a type, which generators turn into `any`; free-form ones say `type: object` or list their types. */
function schemaFaults(where: string, schema: Json): string[] {
  return Object.entries((schema['properties'] ?? {}) as Record<string, Json>).flatMap(([name, inner]) => {
    const items = inner['items'] as Json | undefined;
    const untyped = !typed(inner) || (inner['type'] === 'array' && !typed(items));
    return [...(untyped ? [`${where}.${name} has no type`] : []), ...schemaFaults(`${where}.${name}`, inner)];
  });
}

/** What callers may send without a bound that the document names: texts without a length, numbers without a range, lists. */
export function unboundedInputs(document: Document): string[] {
  const found = new Set<string>();
  const look = (where: string, schema: Json, through: readonly string[]): void => {
    const name = typeof schema['$ref'] === 'string' ? (schema['$ref'].split('/').at(-1) ?? '') : null;
    if (name !== null) {
      if (!through.includes(name)) look(name, document.components.schemas[name] ?? {}, [...through, name]);
      return;
    }
    const has = (...keywords: string[]): boolean => keywords.some((keyword) => keyword in schema);
    const types = [schema['type']].flat();
    const closed = has('enum') || ['uuid', 'date-time'].includes(String(schema['format']));
    if (types.includes('string') && !closed && !has('maxLength', 'pattern')) found.add(`${where}: a text`);
    const number = types.includes('number') || types.includes('integer');
    if (number && !(has('minimum') && has('maximum'))) found.add(`${where}: a number`);
    if (types.includes('array') && !has('maxItems')) found.add(`${where}: a list`);
    for (const inner of ['oneOf', 'anyOf', 'allOf'].flatMap((keyword) => (schema[keyword] ?? []) as Json[]))
      look(where, inner, through);
    if (schema['items'] !== undefined) look(`${where}[]`, schema['items'] as Json, through);
    for (const [property, inner] of Object.entries((schema['properties'] ?? {}) as Record<string, Json>))
      look(`${where}.${property}`, inner, through);
    if (typeof schema['additionalProperties'] === 'object')
      look(`${where}.*`, schema['additionalProperties'] as Json, through);
  };
  for (const operation of operationsOf(document)) {
    const where = `${operation.method} ${operation.path}`;
    for (const { name, schema } of operation.parameters ?? []) look(`${where} ${name}`, schema ?? {}, []);
    for (const { schema } of Object.values(operation.requestBody?.content ?? {})) look(where, schema, []);
  }
  return [...found];
}

function findOperation(operations: readonly Operation[], method: string, path: string): Operation {
  const bare = path.split('?', 1)[0] ?? '';
  const matching = operations.filter((operation) => {
    const pattern = operation.path.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{\w+\}/g, '[^/]+');
    return operation.method === method && new RegExp(`^${pattern}$`).test(bare);
  });
  const found = matching.find(({ path: template }) => !template.includes('{')) ?? matching[0];
  if (found === undefined) throw new Error(`${method} ${bare} is not in the document`);
  return found;
}

function mediaType(response: Response): string {
  return response.headers.get('content-type')?.split(';', 1)[0]?.trim() ?? '';
}

function documented(operation: Operation, response: Response): string {
  const where = `${operation.method} ${operation.path} → ${response.status}`;
  const described = operation.responses[String(response.status)];
  if (described === undefined) throw new Error(`${where} is not documented`);
  const media = mediaType(response);
  if (media !== '' && described.content?.[media] === undefined)
    throw new Error(`${where} is not documented as ${media}`);
  if (media === '' && described.content !== undefined) throw new Error(`${where} has no content`);
  const headers = new Set(Object.keys(described.headers ?? {}).map((name) => name.toLowerCase()));
  const silent = TELLING_HEADERS.filter((name) => response.headers.has(name) && !headers.has(name));
  if (silent.length > 0) throw new Error(`${where} has headers that are not documented: ${silent.join(', ')}`);
  return media;
}

function checkAnswer(
  operation: Operation,
  response: Response,
  body: unknown,
  validatorOf: (operation: Operation, status: number, media: string) => ValidateFunction,
): void {
  const where = `${operation.method} ${operation.path} → ${response.status}`;
  const media = documented(operation, response);
  if (response.headers.get('x-request-id') === null) throw new Error(`${where} has no X-Request-Id`);
  if (media === '') return;
  const validate = validatorOf(operation, response.status, media);
  if (!validate(body)) {
    throw new Error(`${where} is not as documented: ${JSON.stringify(validate.errors)}\n${JSON.stringify(body)}`);
  }
  if (media !== 'application/problem+json') return;
  const { code } = body as { code: string };
  if (!operation.responses[String(response.status)]?.['x-codes']?.includes(code)) {
    throw new Error(`${where} has the undocumented code ${code}`);
  }
}

function validators(document: Document): (operation: Operation, status: number, media: string) => ValidateFunction {
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateSchema: false });
  (addFormats as unknown as (target: Ajv2020) => void)(ajv);
  ajv.addSchema(closed(structuredClone(document) as unknown as Json), 'openapi');
  const step = (key: string): string => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'));
  const compiled = new Map<string, ValidateFunction>();
  return ({ path, method }, status, media) => {
    const pointer = ['paths', path, method.toLowerCase(), 'responses', String(status), 'content', media, 'schema'];
    const ref = `openapi#/${pointer.map(step).join('/')}`;
    const known = compiled.get(ref) ?? ajv.compile({ $ref: ref });
    compiled.set(ref, known);
    return known;
  };
}

/** Objects that say nothing of further fields have none: what is not documented is a fault. */
function closed(document: Json): Json {
  const schemas = (document['components'] as { schemas: Record<string, Json> }).schemas;
  const composed = new Set(
    [...JSON.stringify(document).matchAll(/"allOf":\[([^\]]*)\]/g)].flatMap(([, list]) =>
      [...(list ?? '').matchAll(/#\/components\/schemas\/([\w.-]+)/g)].map(([, name]) => name),
    ),
  );
  const close = (schema: Json): void => {
    if (schema['properties'] !== undefined && !('allOf' in schema)) schema['additionalProperties'] ??= false;
    for (const inner of Object.values((schema['properties'] ?? {}) as Record<string, Json>)) close(inner);
    if (schema['items'] !== undefined) close(schema['items'] as Json);
  };
  for (const [name, schema] of Object.entries(schemas)) if (!composed.has(name)) close(schema);
  return document;
}
