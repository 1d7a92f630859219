import { getMetadataStorage } from 'class-validator';
import { Environment } from './environment.js';
import { SECRET_VARIABLES, secretFileVariable } from './secret-variables.js';

/** The variables that the service reads, those of secrets in files too. */
export function settingNames(): string[] {
  const rules = getMetadataStorage().getTargetValidationMetadatas(Environment, '', false, false);
  return [...new Set(rules.map(({ propertyName }) => propertyName)), ...SECRET_VARIABLES.map(secretFileVariable)];
}
