import type { AppConfig } from '../../config/index.js';

/** Whether callers may name `model`; without a list they may name any. */
export function isAllowedModel({ allowed }: Pick<AppConfig['models'], 'allowed'>, model: string): boolean {
  return allowed === null || allowed.includes(model);
}
