import { Param, type PipeTransform } from '@nestjs/common';
import { ApiParam } from '@nestjs/swagger';
import { DomainError } from '../errors/index.js';
import { isUuid } from '../paging/index.js';

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
