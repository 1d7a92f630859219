import { calcPrice } from '@pydantic/genai-prices';
import type { AppConfig } from '../../config/index.js';
import type { ModelUsage } from './model-call.js';

type Tokens = Pick<ModelUsage, 'inputTokens' | 'outputTokens' | 'cachedInputTokens' | 'cacheWriteTokens'>;
type ModelPrice = AppConfig['models']['prices'][string];

/** USD that so many tokens of one call cost, those of a cache at the cache's price. */
export type Tariff = (tokens: Tokens) => number;

/** The reseller whose list names models as `maker/model`, as gateways do. */
const RESELLER = 'openrouter';

/** Where the price table may list `id` (`model` or `maker/model`): with its maker, else with the reseller. */
function listings(id: string): { model: string; provider?: string }[] {
  const slash = id.indexOf('/');
  if (slash < 0) return [{ model: id }];
  return [
    { provider: id.slice(0, slash), model: id.slice(slash + 1) },
    { provider: RESELLER, model: id },
  ];
}

/**
 * The table's tariff of `id`, at the prices of the moment and of the call's length. A price of nothing at all counts as
 * unknown: a cost limit must not be passed on the strength of it.
 */
export function catalogueTariff(id: string): Tariff | null {
  for (const { model, provider } of listings(id)) {
    const cost: Tariff = ({ inputTokens, outputTokens, cachedInputTokens = 0, cacheWriteTokens = 0 }) => {
      const usage = {
        input_tokens: inputTokens,
        output_tokens: outputTokens,
        ...(cachedInputTokens > 0 && { cache_read_tokens: cachedInputTokens }),
        ...(cacheWriteTokens > 0 && { cache_write_tokens: cacheWriteTokens }),
      };
      return calcPrice(usage, model, provider === undefined ? {} : { providerId: provider })?.total_price ?? 0;
    };
    if (cost({ inputTokens: 1, outputTokens: 0 }) > 0 && cost({ inputTokens: 0, outputTokens: 1 }) > 0) return cost;
  }
  return null;
}

/** Tokens of prompt and answer together, as the table has it; null when it does not. */
export function catalogueContextWindow(id: string): number | null {
  for (const { model, provider } of listings(id)) {
    const usage = { input_tokens: 1, output_tokens: 1 };
    const found = calcPrice(usage, model, provider === undefined ? {} : { providerId: provider });
    if (found?.model.context_window !== undefined) return found.model.context_window;
  }
  return null;
}

/** `overrides` (by the id as addressed, then as the provider knows it) before the table. */
export function tariffOf(
  addressed: string,
  providerId: string,
  tableId: string,
  overrides: Readonly<Record<string, ModelPrice>>,
): Tariff | null {
  const own = [addressed, providerId].find((id) => Object.hasOwn(overrides, id));
  const price = own === undefined ? undefined : overrides[own];
  return price === undefined ? catalogueTariff(tableId) : (tokens) => costOf(tokens, price);
}

/** USD. Without prices of its own a cache costs as much as any input. */
export function costOf(tokens: Tokens, price: ModelPrice): number {
  const { inputTokens, outputTokens, cachedInputTokens = 0, cacheWriteTokens = 0 } = tokens;
  const others = inputTokens - cachedInputTokens - cacheWriteTokens;
  const input =
    others * price.input +
    cachedInputTokens * (price.cached_input ?? price.input) +
    cacheWriteTokens * (price.cache_write ?? price.input);
  return (input + outputTokens * price.output) / 1_000_000;
}
