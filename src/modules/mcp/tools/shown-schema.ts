import { wireName } from '../../tools/index.js';

type Json = Record<string, unknown>;

/** Parts of one shown schema; what lies beyond may be anything. */
const MAX_PARTS = 2_000;
const MAX_DEPTH = 24;
const MAX_BYTES = 64 * 1024;
const MAX_CHOICES = 250;
const PROPERTY = /^[A-Za-z0-9_.-]{1,64}$/;
const TYPES: ReadonlySet<string> = new Set(['string', 'number', 'integer', 'boolean', 'object', 'array', 'null']);
/** Types by names that other languages give them. */
const ALIASES: Readonly<Record<string, string>> = {
  str: 'string',
  text: 'string',
  int: 'integer',
  int32: 'integer',
  int64: 'integer',
  long: 'integer',
  float: 'number',
  double: 'number',
  decimal: 'number',
  bool: 'boolean',
  dict: 'object',
  map: 'object',
  record: 'object',
  list: 'array',
  tuple: 'array',
};
/** Dialects in which nothing beside a `$ref` counts. */
const LONELY_REF = /draft-0?[3-7]\//;

/** A schema that every provider takes, and what leads back from it. */
export interface ShownSchema {
  readonly schema: Json;
  /** `args` with the names of arguments as the server has them, where they were shown by others. */
  readonly restore: (args: Json) => Json;
}

/**
 * The schema of a tool's arguments as models are shown it: of JSON Schema only what every provider takes in every tool, since
 * one refused tool makes a whole request fail. References are resolved, choices are `anyOf`, names of arguments are such as
 * providers accept. It allows what the server's schema allows and more: the rest is for the server to refuse.
 */
export function shownSchema(source: Json): ShownSchema {
  for (const resolving of [true, false]) {
    const projection = new Projection(source, resolving);
    const schema = projection.root();
    if (Buffer.byteLength(JSON.stringify(schema)) <= MAX_BYTES) {
      return { schema, restore: (args) => projection.restored(schema, args, 0) as Json };
    }
  }
  return { schema: { type: 'object', properties: {} }, restore: (args) => args };
}

class Projection {
  private parts = 0;
  /** By shown schema of an object: names as the server has them, by the shown ones that differ. */
  private readonly renamed = new WeakMap<object, Map<string, string>>();
  private readonly refsCountAlone: boolean;

  constructor(
    private readonly source: Json,
    private readonly resolving: boolean,
  ) {
    this.refsCountAlone = typeof source['$schema'] === 'string' && LONELY_REF.test(source['$schema']);
  }

  /** The arguments themselves: an object without choices, since providers take none there. */
  root(): Json {
    const projected = this.project({ ...this.source, type: 'object' }, 0, new Set());
    const { anyOf, ...plain } = projected;
    const properties = { ...(plain['properties'] as Json | undefined) };
    const names = new Map(this.renamed.get(projected));
    for (const branch of (anyOf as Json[] | undefined) ?? []) {
      for (const [name, schema] of Object.entries((branch['properties'] as Json | undefined) ?? {})) {
        if (!Object.hasOwn(properties, name)) define(properties, name, schema);
      }
      for (const [shown, name] of this.renamed.get(branch) ?? []) names.set(shown, name);
    }
    const root = { ...plain, type: 'object', properties };
    // What one choice forbids another may have.
    if (anyOf !== undefined) delete (root as Json)['additionalProperties'];
    this.renamed.set(root, names);
    return root;
  }

  restored(schema: unknown, value: unknown, depth: number): unknown {
    if (!isObject(schema) || depth > MAX_DEPTH) return value;
    const choices = Array.isArray(schema['anyOf']) ? schema['anyOf'] : [];
    if (Array.isArray(value)) {
      const inner = [schema, ...choices].find((one) => isObject(one) && one['items'] !== undefined) as Json | undefined;
      return inner === undefined ? value : value.map((item) => this.restored(inner['items'], item, depth + 1));
    }
    if (!isObject(value)) return value;
    const objects = [schema, ...choices].filter(isObject);
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => {
        const own = objects.find((one) => isObject(one['properties']) && Object.hasOwn(one['properties'], name));
        const original = objects.map((one) => this.renamed.get(one)?.get(name)).find((one) => one !== undefined);
        return [original ?? name, this.restored(own && (own['properties'] as Json)[name], inner, depth + 1)];
      }),
    );
  }

  private project(node: unknown, depth: number, path: ReadonlySet<string>): Json {
    this.parts += 1;
    if (!isObject(node) || depth > MAX_DEPTH || this.parts > MAX_PARTS) return {};
    if (typeof node['$ref'] === 'string') return this.referred(node, node['$ref'], depth, path);
    if (Array.isArray(node['allOf'])) return this.project(this.merged(node, path), depth + 1, path);
    const choices = ['anyOf', 'oneOf'].flatMap((key) => (Array.isArray(node[key]) ? (node[key] as unknown[]) : []));
    const types = typesOf(node);
    if (types.length > 1) {
      const { anyOf: _a, oneOf: _o, description, title, default: standard, ...rest } = node;
      const each = types.map((type) => this.typed({ ...rest, type }, type, depth + 1, path));
      return { ...annotations({ description, title, default: standard }), anyOf: each };
    }
    const [type] = types;
    const shown = this.typed(node, type, depth, path);
    if (choices.length > 0 && choices.length <= MAX_CHOICES) {
      const branches = choices.map((choice) => {
        const given =
          isObject(choice) && type !== undefined && typesOf(choice).length === 0 ? { ...choice, type } : choice;
        return given === false ? null : this.project(given, depth + 1, path);
      });
      shown['anyOf'] = branches.filter((branch) => branch !== null);
      if ((shown['anyOf'] as unknown[]).length === 0) delete shown['anyOf'];
    }
    return shown;
  }

  private referred(node: Json, ref: string, depth: number, path: ReadonlySet<string>): Json {
    const { $ref: _, ...beside } = node;
    const target = this.resolving && !path.has(ref) ? this.resolve(ref) : undefined;
    if (!isObject(target)) return this.refsCountAlone ? annotations(node) : this.project(beside, depth + 1, path);
    const within = new Set([...path, ref]);
    if (this.refsCountAlone || Object.keys(beside).every((key) => key in ANNOTATIONS || key.startsWith('$'))) {
      return { ...this.project(target, depth + 1, within), ...annotations(node) };
    }
    return this.project({ allOf: [target, beside] }, depth + 1, within);
  }

  /** What `ref` points at within the document. */
  private resolve(ref: string): unknown {
    if (ref === '#') return this.source;
    if (!ref.startsWith('#/')) return undefined;
    let found: unknown = this.source;
    for (const part of ref.slice(2).split('/')) {
      const key = decoded(part).replaceAll('~1', '/').replaceAll('~0', '~');
      if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return undefined;
      found = (found as Json)[key];
    }
    return found;
  }

  /** `node` with what its `allOf` adds to it: properties and demands add up, of anything else the first counts. */
  private merged(node: Json, path: ReadonlySet<string>): Json {
    const { allOf, ...own } = node;
    const result: Json = { ...own };
    for (const one of (allOf as unknown[]).slice(0, MAX_CHOICES)) {
      this.parts += 1;
      if (!isObject(one) || this.parts > MAX_PARTS) continue;
      const ref = one['$ref'];
      const target = typeof ref === 'string' && this.resolving && !path.has(ref) ? this.resolve(ref) : undefined;
      const { $ref: _, ...beside } = one;
      const flat = isObject(target)
        ? this.merged({ ...beside, allOf: [...listOf(beside['allOf']), target] }, new Set([...path, ref as string]))
        : beside;
      const inner = Array.isArray(flat['allOf']) ? this.merged(flat, path) : flat;
      for (const [key, value] of Object.entries(inner)) {
        if (key === 'properties' && isObject(value))
          result[key] = { ...value, ...(isObject(result[key]) ? result[key] : {}) };
        else if (key === 'required') result[key] = [...listOf(result[key]), ...listOf(value)];
        else if (!Object.hasOwn(result, key)) define(result, key, value);
      }
    }
    return result;
  }

  private typed(node: Json, type: string | undefined, depth: number, path: ReadonlySet<string>): Json {
    const shown: Json = { ...(type === undefined ? {} : { type }), ...annotations(node) };
    const hints: string[] = [];
    const values = choicesOf(node, type);
    if (values !== null && values.length <= MAX_CHOICES) shown['enum'] = values;
    else if (values !== null) hints.push(`One of: ${values.slice(0, 20).map(String).join(', ')}, …`);
    if (type === 'object') this.object(node, shown, depth, path);
    if (type === 'array') this.array(node, shown, depth, path);
    if (type === 'string') {
      keep(shown, node, ['minLength', 'maxLength'], isCount);
      if (typeof node['format'] === 'string') hints.push(`Format: ${node['format'].slice(0, 60)}.`);
      if (typeof node['pattern'] === 'string') hints.push(`Pattern: ${node['pattern'].slice(0, 200)}`);
    }
    if (type === 'number' || type === 'integer') {
      keep(shown, node, ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'], Number.isFinite);
      keep(shown, node, ['multipleOf'], (value) => Number.isFinite(value) && (value as number) > 0);
    }
    if (hints.length > 0) shown['description'] = [shown['description'], ...hints].filter(Boolean).join('\n');
    return shown;
  }

  private object(node: Json, shown: Json, depth: number, path: ReadonlySet<string>): void {
    const properties: Json = {};
    const names = new Map<string, string>();
    const required = new Set(listOf(node['required']).filter((name) => typeof name === 'string'));
    const shownNames = new Map<string, string>();
    for (const [name, schema] of Object.entries(isObject(node['properties']) ? node['properties'] : {})) {
      // What may never be given is not shown.
      if (schema === false) continue;
      // Old dialects, and people, put it on the argument itself.
      if (isObject(schema) && schema['required'] === true) required.add(name);
      const shownName = PROPERTY.test(name) ? name : wireName(name);
      if (shownName !== name) names.set(shownName, name);
      shownNames.set(name, shownName);
      define(properties, shownName, this.project(schema, depth + 1, path));
    }
    shown['properties'] = properties;
    const needed = [...required].flatMap((name) => shownNames.get(name) ?? []);
    if (needed.length > 0) shown['required'] = needed;
    const others = node['additionalProperties'];
    const hasPatterns = isObject(node['patternProperties']);
    if (typeof others === 'boolean' && !(others === false && hasPatterns)) shown['additionalProperties'] = others;
    else if (isObject(others) && !hasPatterns) shown['additionalProperties'] = this.project(others, depth + 1, path);
    this.renamed.set(shown, names);
  }

  private array(node: Json, shown: Json, depth: number, path: ReadonlySet<string>): void {
    const tuple = [node['prefixItems'], node['items']].find((one) => Array.isArray(one));
    const rest = Array.isArray(node['items']) ? node['additionalItems'] : node['items'];
    if (tuple === undefined) shown['items'] = isObject(rest) ? this.project(rest, depth + 1, path) : {};
    else {
      const open = rest === undefined || rest === true || tuple.length === 0 || tuple.length > 20;
      const kinds = [...tuple, ...(isObject(rest) ? [rest] : [])];
      shown['items'] =
        open && tuple.length > 20 ? {} : { anyOf: kinds.map((one) => this.project(one, depth + 1, path)) };
      if (tuple.length === 0 || (open && rest === true)) shown['items'] = {};
    }
    keep(shown, node, ['minItems', 'maxItems'], isCount);
  }
}

const ANNOTATIONS = { title: 'string', description: 'string', default: null, examples: null } as const;

function annotations(node: Json): Json {
  const kept: Json = {};
  for (const key of ['title', 'description']) if (typeof node[key] === 'string') kept[key] = node[key];
  if (node['default'] !== undefined && node['default'] !== null) kept['default'] = node['default'];
  if (Array.isArray(node['examples'])) kept['examples'] = node['examples'];
  return kept;
}

/** The types that a value may have; none for any. */
function typesOf(node: Json): string[] {
  const given = listOf(node['type'])
    .filter((type) => typeof type === 'string')
    .map((type) => ALIASES[type.toLowerCase()] ?? type.toLowerCase());
  const known = [...new Set(given.filter((type) => TYPES.has(type)))];
  if (known.length === 0 && given.length === 0) {
    if (isObject(node['properties'])) known.push('object');
    else if (node['items'] !== undefined || node['prefixItems'] !== undefined) known.push('array');
    else {
      const kinds = new Set((choicesOf(node, undefined) ?? []).map(typeOf));
      if (kinds.size === 1) known.push(...kinds);
    }
  }
  if (node['nullable'] === true && known.length > 0 && !known.includes('null')) known.push('null');
  return known.includes('number') ? known.filter((type) => type !== 'integer') : known;
}

/** The values of `enum` or `const` that are of `type`; null where any value may stand. */
function choicesOf(node: Json, type: string | undefined): unknown[] | null {
  const given = Array.isArray(node['enum']) ? (node['enum'] as unknown[]) : 'const' in node ? [node['const']] : [];
  const fits = (value: unknown): boolean =>
    type === undefined || typeOf(value) === type || (type === 'number' && typeOf(value) === 'integer');
  const values = [...new Set(given.filter((value) => typeof value !== 'object' || value === null))].filter(fits);
  // A choice among objects is for the server to check.
  return values.length > 0 && given.every((value) => typeof value !== 'object' || value === null) ? values : null;
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

function keep(shown: Json, node: Json, keys: readonly string[], isValid: (value: unknown) => boolean): void {
  for (const key of keys) if (isValid(node[key])) shown[key] = node[key];
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function listOf(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  return typeof value === 'string' ? [value] : [];
}

/** Also for a member named `__proto__`. */
function define(target: Json, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
