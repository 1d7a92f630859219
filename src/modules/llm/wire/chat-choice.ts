import { isObject, numberOf, wordsOf, type JsonObject } from './json-value.js';

/** The choice of a chunk or of a whole answer that is read. */
export interface FoundChoice {
  choice: JsonObject;
  /** The object that holds the choices. */
  body: JsonObject;
  /** Where the choice stands in what was sent. */
  path: (string | number)[];
  place: 'delta' | 'message';
}

/** Objects in which gateways wrap the answer of an endpoint. */
const WRAPPERS = ['data', 'result', 'response', 'output', 'body'];

/** The first choice of `value`, by its number or its place; null where there is none. */
export function choiceIn(value: JsonObject): FoundChoice | null {
  const wrapper = isHeld(value.choices) ? undefined : WRAPPERS.find((key) => holdsChoices(value[key]));
  const body = wrapper === undefined ? value : (value[wrapper] as JsonObject);
  const path = [...(wrapper === undefined ? [] : [wrapper]), 'choices'];
  const found = Array.isArray(body.choices)
    ? (body.choices as unknown[]).flatMap((choice, at) => (isObject(choice) ? { choice, path: [...path, at] } : []))
    : [body.choices].flatMap((choice) => (isObject(choice) ? { choice, path } : []));
  const first = found.find(({ choice }) => numberOf(choice.index ?? 0) === 0) ?? found[0];
  return first ? { ...first, body, place: isHeld(first.choice.delta) ? 'delta' : 'message' } : null;
}

/** The endpoint's name for an end; null while there is none, in whichever form and place that is said. */
export function endIn(value: JsonObject, choice: JsonObject | undefined): string | null {
  const delta = isObject(choice?.delta) ? choice.delta : {};
  const message = isObject(choice?.message) ? choice.message : {};
  const feedback = value.promptFeedback ?? value.prompt_feedback;
  const blocked = isObject(feedback) ? (feedback.blockReason ?? feedback.block_reason) : undefined;
  const told = [choice, delta, message, value].flatMap((place) => (place ? endsOf(place) : []));
  const name = told.map(nameOfEnd).find((found) => found !== null) ?? null;
  return name ?? (wordsOf(blocked) === undefined ? null : `blocked: ${String(blocked)}`);
}

function endsOf(place: JsonObject): unknown[] {
  return [place.finish_reason, place.finishReason, place.finish_details, place.done_reason, place.stop_reason];
}

function nameOfEnd(reason: unknown): string | null {
  const first: unknown = Array.isArray(reason) ? reason[0] : reason;
  if (first === true || (typeof first === 'number' && first > 0)) return String(first);
  const name = wordsOf(first) ?? (isObject(first) ? (wordsOf(first.type) ?? wordsOf(first.reason)) : undefined);
  return name === undefined || /^(null|none|undefined)$/i.test(name) ? null : name;
}

function holdsChoices(value: unknown): boolean {
  return isObject(value) && isHeld(value.choices);
}

function isHeld(value: unknown): boolean {
  return (typeof value === 'object' && value !== null) || typeof value === 'string';
}
