/** USD per 10^6 tokens; a price that is left out is that of the input. */
export interface ModelPrice {
  readonly input: number;
  readonly output: number;
  readonly cached_input?: number;
  readonly cache_write?: number;
}

/** Whether every model has an input and an output price, and none is negative. */
export function arePrices(prices: Record<string, Partial<Record<keyof ModelPrice, unknown>> | null>): boolean {
  const isPrice = (usd: unknown): boolean => typeof usd === 'number' && usd >= 0 && Number.isFinite(usd);
  return Object.values(prices).every(
    (price) =>
      [price?.input, price?.output].every(isPrice) &&
      [price?.cached_input, price?.cache_write].every((usd) => usd === undefined || isPrice(usd)),
  );
}
