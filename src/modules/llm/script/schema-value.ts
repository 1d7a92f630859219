type Schema = Record<string, unknown>;

const DEEPEST = 8;

/**
 * The value closest to `wish` that is valid against `schema` (the subset of JSON Schema in which schemas for models are
 * written): properties of another type are converted or replaced, missing required ones filled with `filler`.
 */
export function fitToSchema(schema: Schema, wish: unknown, filler: string, depth = 0): unknown {
  if ('const' in schema) return schema.const;
  if (Array.isArray(schema.enum)) return schema.enum.includes(wish) ? wish : schema.enum[0];
  const variants = asSchemas(schema.anyOf) ?? asSchemas(schema.oneOf);
  if (variants && depth < DEEPEST) {
    const chosen = variants.find((variant) => typeOf(variant).includes(jsonType(wish))) ?? variants[0] ?? {};
    return fitToSchema(chosen, wish, filler, depth + 1);
  }
  const types = typeOf(schema);
  const type = types.includes(jsonType(wish)) ? jsonType(wish) : (types[0] ?? jsonType(wish));
  switch (type) {
    case 'object':
      return fitObject(schema, wish, filler, depth);
    case 'array':
      return fitArray(schema, wish, filler, depth);
    case 'string':
      return fitText(schema, wish, filler);
    case 'integer':
    case 'number':
      return fitNumber(schema, wish, type === 'integer');
    case 'boolean':
      return wish === true;
    default:
      return null;
  }
}

function fitObject(schema: Schema, wish: unknown, filler: string, depth: number): Record<string, unknown> {
  const wishes: Schema = isRecord(wish) ? wish : {};
  const properties = isRecord(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required : [];
  const fitted: Record<string, unknown> = {};
  if (depth >= DEEPEST) return fitted;
  for (const [name, property] of Object.entries(properties)) {
    if (!(name in wishes) && !required.includes(name)) continue;
    fitted[name] = fitToSchema(isRecord(property) ? property : {}, wishes[name], filler, depth + 1);
  }
  return fitted;
}

function fitArray(schema: Schema, wish: unknown, filler: string, depth: number): unknown[] {
  const items = isRecord(schema.items) ? schema.items : {};
  const wishes = Array.isArray(wish) ? (wish as unknown[]) : wish === undefined || wish === null ? [] : [wish];
  const least = typeof schema.minItems === 'number' ? Math.min(schema.minItems, 16) : 0;
  const most = typeof schema.maxItems === 'number' ? schema.maxItems : 1_000;
  if (depth >= DEEPEST) return [];
  const padded = [...wishes, ...Array<undefined>(Math.max(0, least - wishes.length)).fill(undefined)];
  return padded.slice(0, most).map((item) => fitToSchema(items, item, filler, depth + 1));
}

function fitText(schema: Schema, wish: unknown, filler: string): string {
  const given = typeof wish === 'string' ? wish : Array.isArray(wish) ? wish.join('\n') : filler;
  const longest = typeof schema.maxLength === 'number' ? schema.maxLength : 20_000;
  const shortest = typeof schema.minLength === 'number' ? Math.min(schema.minLength, 10_000) : 0;
  return given.slice(0, longest).padEnd(shortest, '.');
}

function fitNumber(schema: Schema, wish: unknown, whole: boolean): number {
  const least = typeof schema.minimum === 'number' ? schema.minimum : 0;
  const given = typeof wish === 'number' && Number.isFinite(wish) ? wish : least;
  const most = typeof schema.maximum === 'number' ? schema.maximum : Number.MAX_SAFE_INTEGER;
  const clamped = Math.min(
    most,
    Math.max(typeof schema.minimum === 'number' ? least : -Number.MAX_SAFE_INTEGER, given),
  );
  return whole ? Math.trunc(clamped) : clamped;
}

function typeOf(schema: Schema): string[] {
  if (Array.isArray(schema.type)) return schema.type as string[];
  if (typeof schema.type === 'string') return [schema.type];
  if (isRecord(schema.properties)) return ['object'];
  return 'items' in schema ? ['array'] : [];
}

function jsonType(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (value === null) return 'null';
  if (value === undefined) return 'string';
  return typeof value;
}

function asSchemas(value: unknown): Schema[] | null {
  return Array.isArray(value) && value.length > 0 ? value.filter(isRecord) : null;
}

function isRecord(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
