/** The models that a call asks, in order and each once: the first of `wishes` that names one, then the fallbacks. */
export function modelChain(wishes: readonly (string | null | undefined)[], fallbacks: readonly string[]): string[] {
  const first = wishes.find((model) => model !== null && model !== undefined);
  return [...new Set([...(first === undefined || first === null ? [] : [first]), ...fallbacks])];
}
