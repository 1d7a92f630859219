import { isObject, numberOf, parsedJson, wordsOf, type JsonObject } from './json-value.js';

/** An error as an endpoint tells it, whatever the form. */
export interface ReportedError {
  /** The endpoint's own words; empty when it had none. May hold secrets that it repeats. */
  words: string;
  /** The HTTP status that the error stands for, where the endpoint says so in any way. */
  status?: number;
  /** Names of the error, as `rate_limit_exceeded`. */
  names: readonly string[];
}

/** Statuses by the names that endpoints give to errors; the first match counts. */
const STATUS_OF_NAME: readonly (readonly [RegExp, number])[] = [
  [/rate.?limit|too.?many.?requests|quota|resource_?exhausted|throttl|insufficient_(balance|credits)/i, 429],
  [/overloaded|engine_overloaded|at_capacity/i, 529],
  [/unavailable|no_capacity/i, 503],
  [/unauthenticated|authentication|unauthorized|invalid_api_key|incorrect_api_key/i, 401],
  [/permission|forbidden/i, 403],
  [/not_?found/i, 404],
  [/timeout|deadline_exceeded/i, 408],
  [/unprocessable|validation/i, 422],
  [
    /invalid_?(request|argument|parameter|prompt|value)|bad_?request|unsupported|context_length|failed_precondition/i,
    400,
  ],
];

/** Statuses by words, for errors that have no name. */
const STATUS_OF_WORDS: readonly (readonly [RegExp, number])[] = [
  [/rate.?limit|too many requests|quota exceeded|exceeded your .*quota/i, 429],
  [/overloaded|at capacity|try again later/i, 529],
  [/temporarily unavailable|service unavailable/i, 503],
  [/invalid api key|incorrect api key|unauthorized/i, 401],
];

/** Fields in which errors are told, in the order in which they say most; as `plainly` writes names. */
const WORDS = [
  'message',
  'errormessage',
  'errormsg',
  'errmsg',
  'msg',
  'errordescription',
  'faultstring',
  'detail',
  'details',
  'description',
  'reason',
  'statusmsg',
  'title',
];
const NAMES = ['type', 'code', 'status', 'error_type', 'error_code', 'reason'];
/** Objects within objects in which words are looked for. */
const DEEPEST = 4;
const NUMBERS = ['status', 'code', 'status_code', 'statusCode', 'http_status', 'error_code'];

/**
 * The error that `value`, sent with a 200 or as the body of a failure, tells of; null when it is none. `isWhole` says that
 * it is a whole body, where words without an answer can be nothing else.
 */
export function reportedError(value: unknown, isWhole = false): ReportedError | null {
  if (Array.isArray(value)) return value.length > 0 && isObject(value[0]) ? reportedError(value[0], isWhole) : null;
  if (!isObject(value)) return null;
  const { errors } = value;
  const error = firstOf(value.error) ?? value.fault;
  if (isObject(error) ? Object.keys(error).length > 0 : wordsOf(error) !== undefined) return describe(error, value);
  if (typeof error === 'number' && error !== 0) return describe({ ...value, code: error }, value);
  if (value.object === 'error' || value.type === 'error') return describe(value, value);
  if (holdsAnswer(value)) return null;
  if (Array.isArray(errors) && errors.length > 0) return describe(errors[0], value);
  const base = value.base_resp;
  if (isObject(base) && (numberOf(base.status_code) ?? 0) > 0) return describe(base, base);
  if (wordsIn(value) === '') return null;
  const told = describe(value, value);
  return isWhole || (told.status !== undefined && told.status >= 400) ? told : null;
}

/** The error that a plain text tells. */
export function errorInWords(words: string): ReportedError {
  return finished(words, [], undefined);
}

/** The status that an error's names and words stand for. */
function statusOf(names: readonly string[], words: string): number | undefined {
  const named = STATUS_OF_NAME.find(([pattern]) => names.some((name) => pattern.test(name)))?.[1];
  return named ?? STATUS_OF_WORDS.find(([pattern]) => pattern.test(words))?.[1];
}

function holdsAnswer(value: JsonObject): boolean {
  return (Array.isArray(value.choices) && value.choices.length > 0) || isObject(value.usage);
}

function describe(error: unknown, around: JsonObject): ReportedError {
  if (!isObject(error)) {
    const words = typeof error === 'string' ? error : '';
    const inner = parsedJson(words);
    if (isObject(inner)) return describe(isObject(inner.error) ? inner.error : inner, around);
    const { error: _, ...beside } = around;
    const told = [words, wordsIn(beside)].filter((text) => text !== '').join(': ');
    return finished(told, [words, ...namesOf(around)], statusNumber(around));
  }
  const names = [...namesOf(error), ...(error === around ? [] : namesOf(around))];
  return finished(wordsIn(error), names, statusNumber(error) ?? statusNumber(around));
}

function finished(words: string, names: readonly string[], number: number | undefined): ReportedError {
  const status = number ?? statusOf(names, words);
  return { words: words.slice(0, 4_000), names, ...(status !== undefined && { status }) };
}

function namesOf(value: JsonObject): string[] {
  return NAMES.flatMap((key) => wordsOf(value[key]) ?? []).filter((name) => name !== 'error' && name.length <= 100);
}

function statusNumber(value: JsonObject): number | undefined {
  return NUMBERS.map((key) => numberOf(value[key])).find(
    (number) => number !== undefined && number >= 400 && number < 600,
  );
}

/** The words of an error, and those that a gateway hands on from the provider behind it. */
function wordsIn(error: JsonObject, depth = 0): string {
  const said = new Map(Object.entries(error).map(([key, value]) => [plainly(key), value]));
  const own = WORDS.map((key) => saidBy(said.get(key), depth)).find((words) => words !== undefined) ?? '';
  const nested = isObject(error.error) && depth < DEEPEST ? wordsIn(error.error, depth + 1) : wordsOf(error.error);
  const raw = isObject(error.metadata) ? wordsOf(error.metadata.raw) : undefined;
  return [own, nested, raw].filter((words) => words !== undefined && words !== '').join(': ');
}

/** What a field says: a text, a list of validation errors, or an object that holds either. */
function saidBy(value: unknown, depth: number): string | undefined {
  if (isObject(value) && depth < DEEPEST) return wordsOf(wordsIn(value, depth + 1));
  return wordsOf(value) ?? listed(value);
}

/** A name without case and separators, which endpoints write in every way. */
function plainly(name: string): string {
  return name.toLowerCase().replace(/[_-]/g, '');
}

function firstOf(value: unknown): unknown {
  return Array.isArray(value) ? (value as unknown[])[0] : value;
}

/** Validation errors come as lists of `{loc, msg}`. */
function listed(value: unknown): string | undefined {
  if (!Array.isArray(value)) return undefined;
  const lines = value.slice(0, 20).flatMap((entry: unknown) => {
    if (!isObject(entry)) return wordsOf(entry) ?? [];
    const place = Array.isArray(entry.loc) ? `${entry.loc.map(String).join('.')}: ` : '';
    const words = wordsOf(entry.msg) ?? wordsOf(entry.message);
    return words === undefined ? [] : `${place}${words}`;
  });
  return lines.length > 0 ? lines.join('; ') : undefined;
}
