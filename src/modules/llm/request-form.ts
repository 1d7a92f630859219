import { APICallError } from '@ai-sdk/provider';
import type { ModelCall } from './model-call.js';
import { ReportedInStreamError } from './model-failure.js';
import { parsedJson } from './wire/json-value.js';
import { reportedError } from './wire/reported-error.js';

/**
 * Parts of a request that an endpoint can do without, in the order in which they are most often refused.
 * `response_format_with_tools` is a schema beside tools, `reasoning` what an earlier answer wants back, `cache_control` the
 * marks of a cache, `tool_call_ids` the ids that the model gave to its tool calls, in whose place plain ones are sent. Tools are none of them: without them a model that should act would talk.
 */
export const OPTIONAL_PARAMETERS = [
  'response_format_with_tools',
  'response_format',
  'temperature',
  'max_tokens',
  'stream_options',
  'reasoning',
  'cache_control',
  'tool_choice',
  'tool_call_ids',
] as const;
export type OptionalParameter = (typeof OPTIONAL_PARAMETERS)[number];

/** What an endpoint is asked otherwise than usual. */
export interface RequestForm {
  /** Parameters that are not sent. */
  readonly without: ReadonlySet<OptionalParameter>;
  /** The name by which `max_tokens` is sent. */
  readonly maxTokensName: 'max_tokens' | 'max_completion_tokens';
  /** Whether a schema is sent in a call that offers tools too. */
  readonly schemaBesideTools: boolean;
}

/** One change of a form: a parameter that is not sent, or is sent by another name. */
export interface FormChange {
  parameter: OptionalParameter;
  instead: 'max_completion_tokens' | null;
}

export const USUAL_FORM: RequestForm = { without: new Set(), maxTokensName: 'max_tokens', schemaBesideTools: false };

export function changed(form: RequestForm, changes: readonly FormChange[]): RequestForm {
  const without = new Set(form.without);
  let { maxTokensName, schemaBesideTools } = form;
  for (const { parameter, instead } of changes) {
    if (parameter === 'response_format_with_tools') schemaBesideTools = false;
    else if (instead === null) without.add(parameter);
    else maxTokensName = instead;
  }
  return { without, maxTokensName, schemaBesideTools };
}

const SCHEMA_WORDS =
  /response.?format|json.?(schema|object|mode)|text\.format|output_(format|config)|structured.?output|guided|grammar|schema/i;

/** The words by which endpoints speak of a parameter. */
const WORDS_FOR: Readonly<Record<OptionalParameter, RegExp>> = {
  response_format_with_tools: SCHEMA_WORDS,
  response_format: SCHEMA_WORDS,
  temperature: /temperature|sampling/i,
  max_tokens: /max.?(completion.?|output.?|new.?)?tokens|max_length|output (tokens|length)|in the (completion|output)/i,
  stream_options: /stream.?options|include_usage/i,
  reasoning: /reasoning|thinking|thought|signature|encrypted/i,
  cache_control: /cache/i,
  tool_choice: /tool.?choice/i,
  tool_call_ids: /(tool.?)?call.?ids?\b|tool.?(use|result).{0,12}\bids?\b/i,
};
/** Refusals that no optional parameter is the cause of. */
const OTHER_CAUSES =
  /too long|context.?(length|window)|maximum context|prompt.{0,20}too (long|large)|content.?(filter|management|policy)|safety|api.?key|credit|billing|quota|model.{0,60}(not found|not exist|unknown|unavailable|no access)|unknown model|no such model|support.{0,10} tools|tool (use|calling)|function call/i;
const OTHER_NAME = /max_completion_tokens/i;
const TOO_MUCH = /too (large|big|high|many)|less than|at most|greater than|exceeds?|up to|must be (between|in)/i;

/** An endpoint's refusal of a request as such. */
export interface Refusal {
  words: string;
}

/** The refusal that `error` is: a status of 400 or 422, be it told inside a 200; null when it is none. */
export function refusalOf(error: unknown): Refusal | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth += 1) {
    if (at instanceof ReportedInStreamError) return isRefusal(at.reported.status) ? { words: at.reported.words } : null;
    if (!APICallError.isInstance(at) || at.statusCode === undefined || at.statusCode < 400) continue;
    if (!isRefusal(at.statusCode)) return null;
    const body = at.responseBody ?? '';
    const words = reportedError(parsedJson(body), true)?.words ?? '';
    return { words: `${words} ${body}`.slice(0, 20_000) };
  }
  return null;
}

function isRefusal(status: number | undefined): boolean {
  return status === 400 || status === 422;
}

/**
 * The changes that might make a refusal go away, likeliest first: those of parameters that it names, else, where it gives
 * no cause of another kind, one of each parameter that was sent.
 */
export function remediesFor(
  { words }: Refusal,
  sent: readonly OptionalParameter[],
  maxTokensName: RequestForm['maxTokensName'],
): FormChange[] {
  const named = sent.filter((parameter) => WORDS_FOR[parameter].test(words));
  if (named.length === 0 && OTHER_CAUSES.test(words)) return [];
  return (named.length > 0 ? named : sent).flatMap((parameter): FormChange[] => {
    const leaveOut = { parameter, instead: null };
    const mayRename = parameter === 'max_tokens' && maxTokensName === 'max_tokens';
    if (!mayRename || (TOO_MUCH.test(words) && !OTHER_NAME.test(words))) return [leaveOut];
    return [{ parameter, instead: 'max_completion_tokens' }, leaveOut];
  });
}

/** The optional parameters that a call holds in this form. */
export function sentParameters(
  call: Pick<ModelCall, 'tools' | 'responseSchema' | 'temperature' | 'maxOutputTokens'>,
  form: RequestForm,
  facts: { bound: boolean; ownIds: boolean; streams: boolean; marksCache: boolean; isCompatible: boolean },
): OptionalParameter[] {
  const hasTools = (call.tools?.length ?? 0) > 0;
  const hasSchema = call.responseSchema !== undefined && !form.without.has('response_format');
  const holds: Record<OptionalParameter, boolean> = {
    response_format_with_tools: hasSchema && hasTools && form.schemaBesideTools,
    response_format: hasSchema && !hasTools,
    temperature: call.temperature !== undefined,
    max_tokens: call.maxOutputTokens !== undefined,
    stream_options: facts.streams && facts.isCompatible,
    reasoning: facts.bound,
    cache_control: facts.marksCache,
    tool_choice: hasTools,
    tool_call_ids: facts.ownIds,
  };
  return OPTIONAL_PARAMETERS.filter((parameter) => holds[parameter] && !form.without.has(parameter));
}
