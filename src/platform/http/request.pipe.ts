import { ValidationPipe, type ArgumentMetadata, type PipeTransform } from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import { DomainError, type FieldFault } from '../errors/index.js';
import { pointerStep, refuseHostileInput } from './hostile-input.js';
import { withoutReadOnly } from './read-only-fields.js';

/** Faults that one answer lists; more would only repeat themselves. */
const MOST_FAULTS = 50;
const PLAIN_TYPES: readonly unknown[] = [String, Boolean, Number, Array, Object, undefined];
/** The rules that name a field's type: the others have nothing to say about a value of another type. */
const TYPE_RULES = ['isString', 'isInt', 'isNumber', 'isBoolean', 'isArray', 'isObject'];

/**
 * Checks everything a caller sends: hostile text and nesting everywhere; bodies and queries against their class. Bodies
 * may hold no unknown field; `KnownQueryInterceptor` has refused unknown query parameters before.
 * @throws DomainError `validation_failed` with one pointer for each fault.
 */
export class RequestPipe implements PipeTransform {
  private readonly body = validation('#', true);
  private readonly query = validation('#/query', false);

  async transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    if (metadata.type === 'custom') return value;
    const root = metadata.type === 'body' ? '#' : metadata.type === 'query' ? '#/query' : '#/path';
    refuseHostileInput(value, metadata.data === undefined ? root : `${root}/${pointerStep(metadata.data)}`);
    const { metatype } = metadata;
    if (metatype === String && value !== undefined && typeof value !== 'string') {
      throw DomainError.invalid(`${root}/${pointerStep(metadata.data ?? '')}`, 'The parameter must be given once.');
    }
    if (metatype === undefined || PLAIN_TYPES.includes(metatype) || metadata.type === 'param') return value;
    // No body is an empty one, so that the answer names the fields that it lacks.
    const given = value === undefined ? {} : value;
    if (typeof given !== 'object' || given === null || Array.isArray(given))
      throw DomainError.invalid(root, 'The body must be a JSON object.');
    if (metadata.type === 'query') return (await this.query.transform(given, metadata)) as unknown;
    return (await this.body.transform(
      withoutReadOnly(given as Record<string, unknown>, metatype),
      metadata,
    )) as unknown;
  }
}

function validation(root: string, refuseUnknown: boolean): ValidationPipe {
  return new ValidationPipe({
    whitelist: true,
    forbidNonWhitelisted: refuseUnknown,
    transform: true,
    validationError: { target: false, value: true },
    exceptionFactory: (errors) => validationFailed(errors, root),
  });
}

/** The 422 of `errors`, whose sentences become the detail. */
function validationFailed(errors: readonly ValidationError[], root: string): DomainError {
  const faults = faultsOf(errors, root).slice(0, MOST_FAULTS);
  const sentences = faults.slice(0, 3).map((fault) => fault.detail.replace(/\.$/, ''));
  const more = faults.length > sentences.length ? ` (and ${faults.length - sentences.length} more)` : '';
  return new DomainError('validation_failed', `The request is not valid: ${sentences.join('; ')}${more}.`, {
    errors: faults,
  });
}

function faultsOf(errors: readonly ValidationError[], root: string): FieldFault[] {
  return errors.flatMap((error) => {
    const pointer = `${root}/${pointerStep(error.property)}`;
    const own = sentencesOf(error).map((detail) => ({ pointer, detail }));
    return [...own, ...faultsOf(error.children ?? [], pointer)];
  });
}

/** What is wrong with one field: that it is missing, or of another type, or else each rule that it breaks. */
function sentencesOf({ property, value, constraints = {} }: ValidationError): string[] {
  const rules = Object.keys(constraints);
  if (rules.length === 0) return [];
  const name = property.slice(0, 100);
  if (rules.includes('whitelistValidation')) return [`The field ${name} is not known.`];
  if (value === undefined) return [`${name} is required.`];
  const type = TYPE_RULES.find((rule) => rule in constraints);
  return (type === undefined ? rules : [type]).map((rule) => `${constraints[rule]}.`);
}
