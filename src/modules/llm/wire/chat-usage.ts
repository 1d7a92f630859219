import { isObject, numberOf, parsedJson, type JsonObject } from './json-value.js';

/** Tokens of one answer; what the endpoint did not count is absent. */
export interface ChatUsage {
  prompt_tokens?: number;
  completion_tokens?: number;
  /** Of the prompt's tokens, those that were read from a cache, and those that were written to one. */
  cache_read_tokens?: number;
  cache_write_tokens?: number;
  reasoning_tokens?: number;
}

/** Where endpoints put the same count; a path's parts are joined by dots. */
const PLACES: Readonly<Record<keyof ChatUsage, readonly string[]>> = {
  prompt_tokens: [
    'prompt_tokens',
    'input_tokens',
    'promptTokenCount',
    'promptTokens',
    'inputTokens',
    'total_input_tokens',
    'prompt_eval_count',
  ],
  completion_tokens: [
    'completion_tokens',
    'output_tokens',
    'candidatesTokenCount',
    'completionTokens',
    'outputTokens',
    'total_output_tokens',
    'eval_count',
  ],
  cache_read_tokens: [
    'prompt_tokens_details.cached_tokens',
    'input_tokens_details.cached_tokens',
    'prompt_cache_hit_tokens',
    'cache_read_input_tokens',
    'cachedContentTokenCount',
    'cached_tokens',
    'num_cached_tokens',
    'cached_prompt_tokens',
  ],
  cache_write_tokens: [
    'cache_creation_input_tokens',
    'prompt_tokens_details.cache_write_tokens',
    'prompt_tokens_details.cache_creation_tokens',
    'cache_write_tokens',
  ],
  reasoning_tokens: [
    'completion_tokens_details.reasoning_tokens',
    'output_tokens_details.reasoning_tokens',
    'reasoning_tokens',
  ],
};

/** The usage that a chunk or a whole answer tells, in whichever place and form; null when it tells none. */
export function usageOf(value: JsonObject, choice: JsonObject | undefined): ChatUsage | null {
  const groq = isObject(value.x_groq) ? value.x_groq.usage : undefined;
  const message = choice?.message ?? choice?.delta;
  const places = [
    value.usage,
    groq,
    choice?.usage,
    isObject(message) ? message.usage : undefined,
    value.usageMetadata,
    value.token_usage,
  ];
  for (const place of places) {
    const usage = countsOf(place);
    if (usage) return usage;
  }
  return timed(value.timings);
}

function countsOf(place: unknown): ChatUsage | null {
  const told = typeof place === 'string' && /^\s*[[{]/.test(place) ? parsedJson(place) : place;
  const usage = Array.isArray(told) ? (told as unknown[]).at(-1) : told;
  if (!isObject(usage)) return null;
  const inner = usage.tokens ?? usage.billed_units;
  if (isObject(inner)) return countsOf(inner);
  const counts: ChatUsage = {};
  for (const [name, places] of Object.entries(PLACES) as [keyof ChatUsage, readonly string[]][]) {
    // A zero of one spelling stands beside the count in another one.
    const found = places.map((path) => countAt(usage, path)).filter((count) => count !== undefined);
    const count = found.find((number) => number > 0) ?? found[0];
    if (count !== undefined) counts[name] = count;
  }
  const total = countAt(usage, 'total_tokens');
  if (counts.completion_tokens === undefined && counts.prompt_tokens !== undefined && total !== undefined) {
    counts.completion_tokens = Math.max(0, total - counts.prompt_tokens);
  }
  // Anthropic's own counting leaves what a cache held out of the input.
  if (
    usage.prompt_tokens === undefined &&
    usage.input_tokens_details === undefined &&
    counts.prompt_tokens !== undefined
  ) {
    for (const path of ['cache_read_input_tokens', 'cache_creation_input_tokens']) {
      counts.prompt_tokens += countAt(usage, path) ?? 0;
    }
  }
  return Object.keys(counts).length > 0 ? counts : null;
}

function countAt(usage: JsonObject, path: string): number | undefined {
  let at: unknown = usage;
  for (const part of path.split('.')) at = isObject(at) ? at[part] : undefined;
  const count = numberOf(at);
  return count === undefined || count < 0 ? undefined : Math.round(count);
}

/** llama.cpp's server counts in `timings` where it sends no usage; its prompt count leaves out what the cache held. */
function timed(timings: unknown): ChatUsage | null {
  if (!isObject(timings)) return null;
  const cached = countAt(timings, 'cache_n') ?? 0;
  const read = countAt(timings, 'prompt_n');
  const written = countAt(timings, 'predicted_n');
  if (read === undefined || written === undefined) return null;
  return { prompt_tokens: read + cached, completion_tokens: written, cache_read_tokens: cached };
}
