/**
 * What the operator knows of a provider or a model. A parameter of `false` is never sent, one of `true` always, also where
 * an endpoint once refused it; `max_tokens` may name the parameter that is sent in its place.
 */
export interface ModelOptions {
  readonly temperature?: boolean;
  readonly max_tokens?: boolean | 'max_completion_tokens';
  readonly response_format?: boolean;
  /** Whether the endpoint holds answers to a schema in calls that offer tools too. */
  readonly response_format_with_tools?: boolean;
  readonly stream_options?: boolean;
  readonly tool_choice?: boolean;
  /** Whether the ids that a model gave to its tool calls go back to it; else plain ones do. */
  readonly tool_call_ids?: boolean;
  /** Whether the reasoning of an answer goes back with it. */
  readonly reasoning?: boolean;
  /** Whether the parts of a prompt that a cache can serve are marked. */
  readonly cache_control?: boolean;
  /** Tokens that an answer has at the most, for cost limits. */
  readonly max_output?: number;
  /** Tokens of prompt and answer together. */
  readonly context_window?: number;
}

const SWITCHES = [
  'temperature',
  'max_tokens',
  'response_format',
  'response_format_with_tools',
  'stream_options',
  'tool_choice',
  'tool_call_ids',
  'reasoning',
  'cache_control',
];
const NUMBERS = ['max_output', 'context_window'];

/** The rest of a sentence about MODEL_OPTIONS that says what is wrong with it; null for nothing. */
export function modelOptionsFault(options: Readonly<Record<string, unknown>>): string | null {
  for (const [model, settings] of Object.entries(options)) {
    if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) {
      return 'must give every model or provider an object';
    }
    for (const [key, value] of Object.entries(settings as Record<string, unknown>)) {
      const isSwitch = SWITCHES.includes(key);
      if (!isSwitch && !NUMBERS.includes(key)) return `has an option of ${short(model)} that does not exist`;
      const isOtherName = key === 'max_tokens' && value === 'max_completion_tokens';
      if (isSwitch && typeof value !== 'boolean' && !isOtherName)
        return `must give ${key} of ${short(model)} true or false`;
      if (!isSwitch && !(Number.isSafeInteger(value) && (value as number) > 0)) {
        return `must give ${key} of ${short(model)} a number of tokens`;
      }
    }
  }
  return null;
}

function short(model: string): string {
  return JSON.stringify(model.slice(0, 100));
}
