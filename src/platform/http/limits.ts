import { applyDecorators } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { ArrayMaxSize, IsArray, IsInt, IsString, Length, Matches, Max, Min, ValidateBy } from 'class-validator';

/**
 * At most `max` code points, as JSON Schema and PostgreSQL count them. class-validator's own limit leaves out variation
 * selectors, so a text could pass it and break the table's constraint.
 */
export function MaxCharacters(max: number): PropertyDecorator {
  return applyDecorators(
    ValidateBy({
      name: 'maxCharacters',
      validator: {
        validate: (value) => typeof value === 'string' && Array.from(value).length <= max,
        defaultMessage: (args) => `${args?.property} must be at most ${max} characters long`,
      },
    }),
    ApiProperty({ maxLength: max }),
  );
}

/** At most `max` bytes when written as JSON. */
export function MaxJsonBytes(max: number): PropertyDecorator {
  return ValidateBy({
    name: 'maxJsonBytes',
    validator: {
      validate: (value) => Buffer.byteLength(JSON.stringify(value) ?? '') <= max,
      defaultMessage: (args) => `${args?.property} must be at most ${max} bytes of JSON`,
    },
  });
}

/** A whole number; the compiler plugin would declare it as any number. */
export function WholeNumber(minimum: number, maximum: number): PropertyDecorator {
  return applyDecorators(IsInt(), Min(minimum), Max(maximum), ApiProperty({ type: 'integer', minimum, maximum }));
}

/** A list of texts. Declares the limits of its items itself: the compiler plugin would put them on the list. */
export function TextList(limits: { maxItems: number; maxLength: number; pattern?: RegExp }): PropertyDecorator {
  const { maxItems, maxLength, pattern } = limits;
  return applyDecorators(
    IsArray(),
    ArrayMaxSize(maxItems),
    IsString({ each: true }),
    Length(1, maxLength, { each: true }),
    ...(pattern === undefined ? [] : [Matches(pattern, { each: true })]),
    ApiProperty({
      type: 'array',
      maxItems,
      items: { type: 'string', minLength: 1, maxLength, ...(pattern && { pattern: pattern.source }) },
    }),
  );
}
