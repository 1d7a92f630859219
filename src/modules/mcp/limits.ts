import { applyDecorators } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { ArrayMaxSize, IsArray, IsString, Matches, MaxLength, ValidateBy } from 'class-validator';

export const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** A header's name, but for those that the protocol and the connection set themselves. */
export const HEADER_NAME =
  /^(?!(?:host|connection|content-length|content-type|transfer-encoding|te|upgrade|expect|accept|keep-alive|proxy-.*|mcp-.*)$)[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/i;
export const HEADER_VALUE = /^[\x20-\x7e]*$/;

/** A list of texts, empty ones too unless `values` says what they are like. */
export function TextItems(limits: { maxItems: number; maxLength: number; values?: RegExp }): PropertyDecorator {
  const { maxItems, maxLength, values } = limits;
  return applyDecorators(
    IsArray(),
    ArrayMaxSize(maxItems),
    IsString({ each: true }),
    MaxLength(maxLength, { each: true }),
    ...(values === undefined ? [] : [Matches(values, { each: true })]),
    ApiProperty({
      type: 'array',
      maxItems,
      items: { type: 'string', maxLength, ...(values && { pattern: values.source }) },
    }),
  );
}

/** An object of texts by name. */
export function TextMap(limits: {
  maxItems: number;
  maxLength: number;
  names: RegExp;
  values?: RegExp;
}): PropertyDecorator {
  const { maxItems, maxLength, names, values } = limits;
  const isText = (value: unknown): boolean =>
    typeof value === 'string' && value.length <= maxLength && (values === undefined || values.test(value));
  return applyDecorators(
    ValidateBy({
      name: 'textMap',
      validator: {
        validate: (map: unknown) =>
          typeof map === 'object' &&
          map !== null &&
          !Array.isArray(map) &&
          Object.keys(map).length <= maxItems &&
          Object.entries(map).every(([name, value]) => names.test(name) && isText(value)),
        defaultMessage: (args) =>
          `${args?.property} must hold at most ${maxItems} texts of at most ${maxLength} characters, with valid names`,
      },
    }),
    ApiProperty({
      type: 'object',
      maxProperties: maxItems,
      additionalProperties: { type: 'string', maxLength, ...(values && { pattern: values.source }) },
    }),
  );
}
