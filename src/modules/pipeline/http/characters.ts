import { applyDecorators } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { ValidateBy } from 'class-validator';

/**
 * A text of `min` to `max` code points, as JSON Schema counts them. class-validator's own limits leave out variation
 * selectors, so a text of nothing else would pass them at any length.
 */
export function Characters(min: number, max: number): PropertyDecorator {
  return applyDecorators(
    ValidateBy({
      name: 'characters',
      validator: {
        validate: (value) => typeof value === 'string' && value.length >= min && codePointsUpTo(value, max),
        defaultMessage: (argument) => `${argument?.property} must be a text of ${min} to ${max} characters`,
      },
    }),
    ApiProperty({ minLength: min, maxLength: max }),
  );
}

function codePointsUpTo(text: string, max: number): boolean {
  if (text.length <= max) return true;
  return text.length <= 2 * max && Array.from(text).length <= max;
}
