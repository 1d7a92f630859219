import type { ModelAddress } from './model-providers.js';

/** The id under which the price table knows a model: that of a direct provider with its maker. */
export function tableId(address: ModelAddress | null, id: string): string {
  const name = address?.provider.name;
  if (!name || name === 'gateway') return id;
  return `${name}/${id}`;
}
