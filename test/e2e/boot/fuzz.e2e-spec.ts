import { afterAll, beforeAll, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { api, type Api, type Operation } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';

// Requests made from the document, half of them as it says and half of them not. Whatever comes: no 5xx, and every answer
// has a documented status, content type, schema and code. A failure prints its seed and path.

type Schema = Record<string, unknown>;
/** Requests for each operation; more for a long run: `FUZZ_RUNS=2000`. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 40);

let service: Service;
let client: Api;
/** Ids of things that exist, at first at least. */
let ids: string[];
/** Callers: the admin, a key, nobody, and somebody with a key that was never made. */
let callers: fc.Arbitrary<string | undefined>;
beforeAll(async () => {
  // Without workers what is made stays queued, so that the requests are all that happens.
  service = await startService({ ROLES: 'api' });
  client = await api(service);
  const key = await service.createKey();
  callers = fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom('admin', key.raw_key, undefined) },
    { weight: 1, arbitrary: fc.constant(`sk-nova-${'0'.repeat(43)}`) },
  );
  const made = await Promise.all(
    ['one', 'two', 'three'].map(async (name) => {
      const agent = await client.call('POST', '/api/v1/agents', { json: { config: { name } } });
      const task = await client.call('POST', '/api/v1/pipeline/tasks', { json: { user_input: name } });
      const pod = await client.call('POST', '/api/v1/pods', { as: 'admin', json: { name } });
      return [agent.body.id, task.body.task_id, pod.body.id] as string[];
    }),
  );
  const pods = (await client.call('GET', '/api/v1/pods')).body as { id: string }[];
  const details = await Promise.all(pods.map(({ id }) => client.call('GET', `/api/v1/pods/${id}`)));
  ids = [
    ...made.flat(),
    ...details.flatMap(({ body }) => [body.id, ...body.agents.map((agent: { id: string }) => agent.id)] as string[]),
  ];
});
afterAll(() => service.stop());

const hostileText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '',
    ' ',
    '\u0000',
    '\ud800',
    '\u202e',
    '😀',
    '../../etc/passwd',
    "'; drop table tasks; --",
    '${jndi:x}',
    '%00',
    '<script>',
    '{"$ne":1}',
  ),
  fc.constantFrom(
    'x'.repeat(300),
    'x'.repeat(200_001),
    '9'.repeat(400),
    '00000000-0000-0000-0000-000000000000',
    '1e400',
    '-0',
    'NaN',
    'null',
    'true',
  ),
);
const hostile: fc.Arbitrary<unknown> = fc.oneof(
  hostileText,
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    0,
    -1,
    1.5,
    2 ** 31,
    2 ** 53,
    2 ** 63,
    1e308,
    -1e308,
    [],
    {},
    [[]],
    [null],
    [{}],
    { toString: 1 },
    JSON.parse('{"then":1}') as unknown,
  ),
  fc.constant(JSON.parse('{"__proto__":{"a":1},"constructor":{"prototype":{}}}') as unknown),
  fc.integer({ min: 1, max: 200 }).map((depth) => JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as unknown),
  fc.jsonValue(),
);

/** Values of `schema`, with something else now and then. */
function valueOf(schema: Schema, depth = 0): fc.Arbitrary<unknown> {
  const proper = properOf(schema, depth);
  return fc.oneof({ weight: 24, arbitrary: proper }, { weight: 1, arbitrary: hostile });
}

function properOf(schema: Schema, depth: number): fc.Arbitrary<unknown> {
  const reference = schema['$ref'];
  if (typeof reference === 'string')
    return properOf(client.document.components.schemas[reference.split('/').at(-1) ?? ''] ?? {}, depth);
  const choices = (schema['anyOf'] ?? schema['oneOf'] ?? schema['allOf']) as Schema[] | undefined;
  if (choices !== undefined) return fc.oneof(...choices.map((choice) => properOf(choice, depth)));
  if (Array.isArray(schema['enum'])) return fc.constantFrom(...(schema['enum'] as unknown[]));
  const types = [schema['type'] ?? 'object'].flat() as string[];
  return fc.oneof(...types.map((type) => typed(type, schema, depth)));
}

function typed(type: string, schema: Schema, depth: number): fc.Arbitrary<unknown> {
  const number = (key: string, otherwise: number): number =>
    typeof schema[key] === 'number' ? schema[key] : otherwise;
  switch (type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return fc.integer({ min: number('minimum', -10), max: Math.min(number('maximum', 1_000), 2 ** 31 - 1) });
    case 'number':
      return fc.double({ min: number('minimum', -10), max: number('maximum', 1_000), noNaN: true });
    case 'array':
      return depth > 4
        ? fc.constant([])
        : fc.array(valueOf((schema['items'] ?? {}) as Schema, depth + 1), { maxLength: 3 });
    case 'string':
      if (schema['format'] === 'uuid') return fc.oneof(fc.uuid(), fc.constantFrom(...ids));
      if (schema['format'] === 'date-time') return fc.date({ noInvalidDate: true }).map((date) => date.toISOString());
      return fc.string({
        unit: 'grapheme',
        minLength: Math.min(number('minLength', 0), 50),
        maxLength: Math.min(number('maxLength', 30), 60),
      });
    default:
      return objectOf(schema, depth);
  }
}

function objectOf(schema: Schema, depth: number): fc.Arbitrary<unknown> {
  const properties = Object.entries((schema['properties'] ?? {}) as Record<string, Schema>);
  if (properties.length === 0 || depth > 4) return fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 3 });
  const required = (schema['required'] ?? []) as string[];
  const record = fc.record(Object.fromEntries(properties.map(([name, inner]) => [name, valueOf(inner, depth + 1)])), {
    requiredKeys: required,
  });
  const extra = fc.dictionary(fc.constantFrom('id', 'extra', 'a/b', 'toString'), hostile, { maxKeys: 1 });
  const missing = fc.constantFrom(undefined, ...properties.map(([name]) => name));
  return fc
    .tuple(record, fc.option(extra, { freq: 9 }), fc.option(missing, { freq: 9 }))
    .map(([value, more, without]) => {
      const made: Record<string, unknown> = { ...(value as object), ...more };
      if (typeof without === 'string') delete made[without];
      return made;
    });
}

interface Request {
  path: string;
  json: unknown;
  headers: Record<string, string>;
  as: string | undefined;
}

/** Headers that any request may have; values are what the wire can carry. */
const ANYWHERE = ['x-request-id', 'traceparent', 'x-forwarded-for', 'forwarded', 'authorization', 'accept', 'cookie'];

function headersOf(operation: Operation): fc.Arbitrary<Record<string, string>> {
  const own = (operation.parameters ?? []).filter((one) => one.in === 'header').map(({ name }) => name);
  const wire = fc
    .oneof(hostileText, fc.constantFrom('*', 'wait=0', 'respond-async, wait=1', '1', '999999999999999', '"a"', ', ,'))
    .map((text) => text.slice(0, 1_000).replace(/[^\x20-\x7e\xa0-\xff]/g, '?'));
  const some = (names: readonly string[], absent: number): fc.Arbitrary<Record<string, string>> => {
    const maybe = fc.oneof({ weight: absent, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: wire });
    return fc
      .record(Object.fromEntries(names.map((name) => [name, maybe])))
      .map((all) => Object.fromEntries(Object.entries(all).filter((one): one is [string, string] => one[1] !== null)));
  };
  return fc.tuple(some(ANYWHERE, 15), some(own, 1)).map(([others, owns]) => ({ ...others, ...owns }));
}

function requestOf(operation: Operation): fc.Arbitrary<Request> {
  const inPath = fc.record(
    Object.fromEntries(
      [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => [
        name,
        fc.oneof(
          { weight: 5, arbitrary: fc.constantFrom(...ids) },
          { weight: 1, arbitrary: fc.uuid() },
          { weight: 1, arbitrary: hostileText.filter((text) => text !== '' && !/^\.{1,2}$/.test(text)) },
        ),
      ]),
    ),
  ) as fc.Arbitrary<Record<string, string>>;
  const query = fc.record(
    Object.fromEntries(
      (operation.parameters ?? [])
        .filter((one) => one.in === 'query')
        .map((one) => [one.name, fc.array(valueOf(one.schema ?? {}), { minLength: 1, maxLength: 2, size: 'xsmall' })]),
    ),
    { requiredKeys: [] },
  );
  const schema = operation.requestBody?.content['application/json']?.schema;
  const body = schema === undefined ? fc.constant(undefined) : valueOf(schema);
  const everything = fc.tuple(inPath, query, body, headersOf(operation), callers);
  return everything.map(([names, parameters, json, headers, as]) => {
    const text = (value: unknown): string =>
      encodeURIComponent(
        (typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).toWellFormed().slice(0, 2_000),
      );
    const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => text(names[name]));
    const search = Object.entries(parameters).flatMap(([name, values]) =>
      (values ?? []).map((value) => `${name}=${text(value)}`),
    );
    return { path: search.length > 0 ? `${path}?${search.join('&')}` : path, json, headers, as };
  });
}

it('no request makes an answer that is not documented, nor a 5xx', async () => {
  const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() & 0x7fffffff);
  const seen = new Map<number, number>();
  for (const operation of client.operations) {
    await fc.assert(
      fc.asyncProperty(requestOf(operation), async ({ path, json, headers, as }) => {
        const streams = operation.responses['200']?.content?.['text/event-stream'] !== undefined;
        const call = { headers, ...(as === undefined ? {} : { as }), ...(json === undefined ? {} : { json }) };
        if (streams) {
          const abort = new AbortController();
          const response = await client.stream(operation.method, path, { ...call, signal: abort.signal });
          abort.abort();
          expect(response.status).toBeLessThan(500);
          return;
        }
        const answer = await client.call(operation.method, path, call);
        seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
        expect(answer.status >= 500 && answer.body.code !== 'no_model').toBe(false);
      }),
      { numRuns: RUNS, seed, endOnFailure: true },
    );
  }
  // The requests are neither all refused nor all proper.
  expect([...seen.keys()]).toEqual(expect.arrayContaining([200, 201, 404, 422]));
  expect(service.logs.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
}, 600_000);
