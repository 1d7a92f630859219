import { applyDecorators } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { ValidateBy } from 'class-validator';

/** RFC 3339; the time of day may be left out, and so may the offset. */
const MOMENT =
  /^(\d{4}-\d{2}-\d{2})(T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)?)?$/;

/**
 * The moment that a caller means; without an offset it is UTC, whatever the zone of this process. Null for what is no
 * moment, does not exist (the 30th of February), or lies outside the years 1 to 9999. What `Date.parse` alone makes of other
 * texts depends on the engine: it reads the ordinal date 2030-010 as October.
 */
export function parseMoment(text: string): Date | null {
  const [, day, time, , , , offset] = MOMENT.exec(text) ?? [];
  if (day === undefined) return null;
  const noon = new Date(`${day}T12:00:00Z`);
  if (Number.isNaN(noon.getTime()) || !noon.toISOString().startsWith(day)) return null;
  const moment = new Date(time === undefined || offset !== undefined ? text : `${text}Z`);
  const year = moment.getUTCFullYear();
  return year >= 1 && year <= 9_999 ? moment : null;
}

/** A moment as `parseMoment` reads it, not before the year `from`. */
export function IsMoment(from = 1): PropertyDecorator {
  return applyDecorators(
    ApiProperty({ format: 'date-time' }),
    ValidateBy({
      name: 'isMoment',
      validator: {
        validate: (value) => typeof value === 'string' && (parseMoment(value)?.getUTCFullYear() ?? 0) >= from,
        defaultMessage: (args) =>
          `${args?.property} must be a time between the years ${from} and 9999, as 2030-01-31T09:00:00Z`,
      },
    }),
  );
}
