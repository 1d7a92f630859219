import { Param, type PipeTransform } from '@nestjs/common';
import { ApiParam } from '@nestjs/swagger';
import { DomainError } from '../errors/index.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether `text` is a UUID of any version. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/**
 * A path parameter that is a UUID, in lower case.
 * @throws DomainError `validation_failed` when it is not one.
 */
export function UuidParam(name = 'id'): ParameterDecorator {
  const pipe: PipeTransform<string, string> = {
    transform: (text) => {
      if (!isUuid(text)) throw DomainError.invalid(`#/path/${name}`, `The ${name} in the path is not a UUID.`);
      return text.toLowerCase();
    },
  };
  return (target, key, index) => {
    Param(name, pipe)(target, key, index);
    const descriptor = key === undefined ? undefined : Object.getOwnPropertyDescriptor(target, key);
    if (key !== undefined && descriptor !== undefined) {
      ApiParam({ name, description: 'A UUID, as the service gave it.', schema: { type: 'string', format: 'uuid' } })(
        target,
        key,
        descriptor,
      );
    }
  };
}
