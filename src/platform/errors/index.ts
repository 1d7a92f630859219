export { ERRORS, type ErrorCode } from './catalogue.js';
export { DomainError, type DomainErrorOptions, type FieldFault } from './domain-error.js';
