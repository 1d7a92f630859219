type Json = Record<string, unknown>;

const MAX_DEPTH = 32;
const FENCE = /^```[\w-]*[ \t]*\r?\n?([\s\S]*?)\r?\n?```$/;
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?$/i;

/**
 * The arguments in `raw` as a model wrote them: JSON, also in a Markdown fence or as a JSON text that holds JSON; nothing and
 * null are no arguments.
 * @throws SyntaxError when they are none of these.
 */
export function parseArguments(raw: string): unknown {
  let value: unknown = unfenced(raw);
  for (let times = 0; typeof value === 'string' && times < 3; times += 1) {
    value = value === '' ? {} : (JSON.parse(value) as unknown);
    if (typeof value === 'string') value = unfenced(value);
  }
  return value ?? {};
}

/**
 * `value` in the form that `schema` (JSON Schema, as models are shown it) asks for, where it means the same in another: null
 * and "" for what may be left out, "3" for 3, "true" for true, JSON in a text, one thing for a list of it. What has the
 * right type stays as it is, and so does what fits in no way: a number is not taken for a text, which it may be by mistake.
 */
export function fitArguments(schema: unknown, value: unknown): unknown {
  return fit(schema, value, 0);
}

function fit(schema: unknown, value: unknown, depth: number): unknown {
  if (!isObject(schema) || depth > MAX_DEPTH) return value;
  const choices = [schema['anyOf'], schema['oneOf']].find((one) => Array.isArray(one));
  if (choices !== undefined && schema['type'] === undefined) {
    const right = choices.find((choice) => hasType(choice, value));
    if (right !== undefined) return fit(right, value, depth + 1);
    const fitted = choices.map((choice) => [choice, fit(choice, value, depth + 1)] as const);
    return fitted.find(([choice, one]) => hasType(choice, one))?.[1] ?? value;
  }
  switch (schema['type']) {
    case 'object':
      return fitObject(schema, typeof value === 'string' ? parsed(value, isObject) : value, depth);
    case 'array':
      return fitArray(schema, typeof value === 'string' ? parsed(value, Array.isArray) : value, depth);
    case 'integer':
    case 'number':
      return typeof value === 'string' && NUMBER.test(value.trim()) ? Number(value) : value;
    case 'boolean':
      if (typeof value === 'string' && /^(?:true|false)$/i.test(value.trim())) return /true/i.test(value);
      return value === 1 || value === 0 ? value === 1 : value;
    case 'string':
      return fitText(schema, value);
    default:
      return value;
  }
}

function fitObject(schema: Json, value: unknown, depth: number): unknown {
  if (!isObject(value)) return value;
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  const required = Array.isArray(schema['required']) ? (schema['required'] as unknown[]) : [];
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, member]) => {
        const own = Object.hasOwn(properties, name) ? properties[name] : undefined;
        return [name, own === undefined ? member : fit(own, member, depth + 1), own] as const;
      })
      .filter(([name, member, own]) => {
        if (required.includes(name)) return true;
        if (own === undefined) return !(member === null && schema['additionalProperties'] === false);
        return !(isNothing(member) && !hasType(own, member));
      })
      .map(([name, member]) => [name, member]),
  );
}

function fitArray(schema: Json, value: unknown, depth: number): unknown {
  const { items } = schema;
  if (Array.isArray(value)) return value.map((item) => fit(items, item, depth + 1));
  if (isNothing(value)) return value;
  const item = fit(items, value, depth + 1);
  return hasType(items, item) ? [item] : value;
}

/** A text, written as one of the choices there are when it differs from one by case alone. */
function fitText(schema: Json, value: unknown): unknown {
  const values = schema['enum'];
  if (typeof value !== 'string' || !Array.isArray(values) || values.includes(value)) return value;
  const meant = values.filter((one) => typeof one === 'string' && one.toLowerCase() === value.trim().toLowerCase());
  return meant.length === 1 ? (meant[0] as unknown) : value;
}

/** Whether `value` has a type that `schema` asks for; anything has where it asks for none. */
function hasType(schema: unknown, value: unknown): boolean {
  if (!isObject(schema)) return true;
  const choices = [schema['anyOf'], schema['oneOf']].find((one) => Array.isArray(one));
  if (choices !== undefined && schema['type'] === undefined) return choices.some((choice) => hasType(choice, value));
  if (Array.isArray(schema['enum']) && !schema['enum'].includes(value)) return false;
  if ('const' in schema && schema['const'] !== value) return false;
  switch (schema['type']) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isObject(value);
    case 'integer':
      return Number.isInteger(value);
    case undefined:
      return true;
    default:
      return typeof value === schema['type'];
  }
}

/** How models write that they give nothing. */
function isNothing(value: unknown): boolean {
  return value === null || value === '' || value === 'null' || value === 'None' || value === 'undefined';
}

function parsed(text: string, isMeant: (value: unknown) => boolean): unknown {
  try {
    const value: unknown = JSON.parse(unfenced(text));
    return isMeant(value) ? value : text;
  } catch {
    return text;
  }
}

function unfenced(text: string): string {
  const trimmed = text.trim();
  return (FENCE.exec(trimmed)?.[1] ?? trimmed).trim();
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
