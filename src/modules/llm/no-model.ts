import { DomainError } from '../../platform/errors/index.js';

/** Says that no configured provider has a model of `chain`, the models of `whose`. */
export function noModel(whose: string, chain: readonly string[]): DomainError {
  const detail =
    chain.length === 0
      ? `No model is configured for ${whose}.`
      : `No configured provider has a model of ${whose}: ${chain.join(', ')}.`;
  return new DomainError('no_model', detail, { retryAfterSeconds: 60 });
}
