import { ValidateIf } from 'class-validator';

/**
 * The field may be left out, but null is refused. Use it where null means nothing, in particular in PATCH bodies;
 * class-validator's `IsOptional` lets null through.
 */
export function MayBeOmitted(): PropertyDecorator {
  return ValidateIf((_, value: unknown) => value !== undefined);
}
