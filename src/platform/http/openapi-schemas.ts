import type { Type } from '@nestjs/common';
import type { OpenAPIObject } from '@nestjs/swagger';
import { getMetadataStorage } from 'class-validator';

interface Schema {
  type?: string | string[];
  properties?: Record<string, Schema>;
  additionalProperties?: unknown;
  default?: unknown;
}
interface Operation {
  parameters?: readonly object[];
}

/**
 * Says in the document what Swagger's plugin cannot know: which numbers are integers, that bodies of POST take no other
 * field, and that a field which a PATCH leaves out has no default. `bodyOrQuery` are the classes of a route's parameters.
 */
export function refineSchemas(
  document: OpenAPIObject,
  operation: Operation,
  verb: string,
  bodyOrQuery: readonly Type<object>[],
): void {
  for (const one of bodyOrQuery) {
    const schema = document.components?.schemas?.[one.name] as Schema | undefined;
    if (schema === undefined) markQueryIntegers(operation, one);
    else refineBody(document, schema, one, verb === 'post');
    if (verb === 'patch') for (const field of Object.values(schema?.properties ?? {})) delete field.default;
  }
}

function refineBody(document: OpenAPIObject, schema: Schema, of: Type<object>, closed: boolean): void {
  if (closed) schema.additionalProperties = false;
  for (const name of integersOf(of)) markInteger(schema.properties?.[name]);
  for (const name of Object.keys(schema.properties ?? {})) {
    const inner = Reflect.getMetadata('design:type', of.prototype as object, name) as Type<object> | undefined;
    const innerSchema = inner && (document.components?.schemas?.[inner.name] as Schema | undefined);
    if (inner !== undefined && inner !== of && innerSchema) refineBody(document, innerSchema, inner, closed);
  }
}

function markQueryIntegers(operation: Operation, of: Type<object>): void {
  const integers = new Set(integersOf(of));
  for (const parameter of (operation.parameters ?? []) as { name?: string; schema?: Schema }[]) {
    if (integers.has(parameter.name ?? '')) markInteger(parameter.schema);
  }
}

function integersOf(one: Type<object>): string[] {
  return getMetadataStorage()
    .getTargetValidationMetadatas(one, '', false, false)
    .filter((rule) => rule.name === 'isInt')
    .map((rule) => rule.propertyName);
}

function markInteger(schema: Schema | undefined): void {
  if (schema === undefined) return;
  if (Array.isArray(schema.type)) schema.type = schema.type.map((type) => (type === 'number' ? 'integer' : type));
  else if (schema.type === 'number') schema.type = 'integer';
}
