import type { LanguageModelV3Prompt } from '@ai-sdk/provider';
import { z } from 'zod';
import { cutMiddle, fitHistory, withUserText, type ModelSession } from '../../loop/index.js';
import type { ModelAnswer, ResponseSchema } from '../../llm/index.js';
import { DECIDING_KEYS, settled } from './outputs.js';
import { asSeen, repeatedKeys } from './repeated-keys.js';
import { wholeJson } from './wire-artefacts.js';

/** A model gave no valid answer, also when shown its own and the faults in it. */
export class UnreadableAnswerError extends Error {
  override readonly name = 'UnreadableAnswerError';
  constructor(
    readonly schemaName: string,
    /** These quote nothing of the answer. */
    readonly faults: readonly string[],
    /** The last answer. Those of `runStage` are cut, and the secrets in them masked. */
    readonly sent: string,
  ) {
    super(`The model gave no valid ${schemaName}: ${faults.join('; ')}`);
  }
}

/** The form of one kind of answer. */
export interface AnswerForm {
  name: string;
  schema: z.ZodObject;
}

/** The part of an answer that decides whether it can be read. */
export type ReadableAnswer = Pick<ModelAnswer, 'text' | 'finishReason' | 'finishName'> & {
  toolCalls: readonly { name: string }[];
};

export type Reading = { valid: true; value: Record<string, unknown> } | { valid: false; faults: string[] };

/** Characters; anything longer is no answer of any stage. */
const LONGEST_ANSWER = 1_000_000;
const SHOWN_ANSWER = 8_000;
const MOST_FAULTS = 20;
const MOST_NOTES = 20;

/** Limits that some providers refuse in a schema; the answer is held to them all the same. */
const UNSENT_KEYWORDS = ['default', 'minLength', 'maxLength', 'minItems', 'maxItems', 'minimum', 'maximum', 'pattern'];

/** The schema as calls carry it; `schemaText` tells it in the prompt. */
export function responseSchema({ name, schema }: AnswerForm): ResponseSchema {
  return { name, schema: wireSchema(schema), inPrompt: true };
}

/** The demand for an answer of `form`, in words. The same form gives the same text. */
export function schemaText({ name, schema }: AnswerForm): string {
  return [
    `Your final answer is a ${name}: one JSON value that is valid against this JSON Schema, without prose or a code fence around it. Where you have tools, use them before you give it.`,
    JSON.stringify(wireSchema(schema)),
  ].join('\n');
}

/**
 * The value of a conversation's final answer; where it is not valid, that of one more call, which offers nothing but the
 * schema and shows the model its invalid answer and the faults in it.
 * @param conversation everything before `final`, in words alone.
 * @throws UnreadableAnswerError; what `ModelSession.ask` throws.
 */
export async function settledAnswer(
  session: ModelSession,
  input: {
    conversation: LanguageModelV3Prompt;
    final: ReadableAnswer;
    form: AnswerForm;
    maxContextTokens: number;
    /** Whether the session asks nothing after this; else that call's answer is recorded. */
    isLast: boolean;
  },
): Promise<Record<string, unknown>> {
  const { conversation, form, maxContextTokens } = input;
  let answer = input.final;
  let reading = readAnswer(answer, form);
  for (let asksAgain = true; !reading.valid && asksAgain;) {
    const corrected = withUserText(
      [
        ...conversation,
        { role: 'assistant', content: [{ type: 'text', text: cutMiddle(shown(answer), SHOWN_ANSWER) }] },
      ],
      [
        `This answer is not a valid ${form.name}:`,
        ...reading.faults.map((fault) => `- ${fault}`),
        'Give the whole answer again, in the form that was demanded:',
        schemaText(form),
      ].join('\n'),
    );
    const asked = await session.ask(
      { prompt: fitHistory(corrected, maxContextTokens), responseSchema: responseSchema(form) },
      () => input.isLast,
    );
    answer = asked.answer;
    reading = readAnswer(answer, form);
    // Nothing records a stage's last answer; one that was recorded is an earlier version's, which asked once more after it.
    asksAgain = asked.replayed && input.isLast;
  }
  if (reading.valid) return reading.value;
  throw new UnreadableAnswerError(form.name, reading.faults, shown(answer));
}

/**
 * Reads an answer: strict on what decides, forgiving on what describes. An answer that ended for any reason but a normal
 * stop is not valid. The mended places are in the value's `notes`.
 */
export function readAnswer(answer: ReadableAnswer, form: AnswerForm): Reading {
  const fault = (text: string): Reading => ({ valid: false, faults: [text] });
  if (answer.toolCalls.length > 0) return fault('it asked for a tool where none was offered');
  if (answer.finishReason !== 'stop') {
    const name = (answer.finishName ?? answer.finishReason).replace(/\s+/g, ' ');
    return fault(`it ended with "${name}" instead of a normal stop`);
  }
  if (answer.text.trim() === '') return fault('it is empty');
  if (answer.text.length > LONGEST_ANSWER) return fault(`it is longer than ${LONGEST_ANSWER} characters`);
  const whole = wholeJson(answer.text);
  if (whole === null) return fault('it is not one JSON value and nothing else');
  const repeated = repeatedKeys(whole.json);
  const faults = [
    ...DECIDING_KEYS.filter((key) => repeated.has(key)).map((key) => `${key}: given more than once`),
    ...misspelt(whole.value, form.schema),
  ];
  if (faults.length > 0) return { valid: false, faults };
  const parsed = form.schema.safeParse(whole.value);
  if (!parsed.success) {
    const found = parsed.error.issues.map(
      ({ path, message }) => `${path.map(String).join('.').slice(0, 100) || 'the answer'}: ${message.slice(0, 200)}`,
    );
    return { valid: false, faults: found.slice(0, MOST_FAULTS) };
  }
  const { value, note } = settled(parsed.data);
  const notes = [
    ...(note === null ? [] : [note]),
    ...mendings(whole.value, parsed.data, ''),
    ...(whole.isRepaired ? ['It was not JSON to the letter.'] : []),
    ...(repeated.size > 0 ? ['A key was given more than once; its last value counts.'] : []),
  ];
  return { valid: true, value: notes.length === 0 ? value : { ...value, notes: notes.slice(0, MOST_NOTES) } };
}

/** Deciding keys of the schema that the answer gives in another spelling, so that their value would not be looked at. */
function misspelt(value: unknown, schema: z.ZodObject): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  const deciding = DECIDING_KEYS.filter((key) => key in schema.shape);
  return Object.entries(value).flatMap(([key, inner]) => {
    const meant = deciding.find((name) => name === asSeen(key));
    if (meant === undefined) return [];
    if (meant !== key) return [`${meant}: its name is spelled in another way`];
    const item = itemSchema(schema.shape[meant]);
    return item && Array.isArray(inner) ? inner.flatMap((entry) => misspelt(entry, item)) : [];
  });
}

/** The schema of the objects in a list. */
function itemSchema(schema: unknown): z.ZodObject | null {
  const list = schema instanceof z.ZodPipe ? schema.out : schema;
  return list instanceof z.ZodArray && list.element instanceof z.ZodObject ? list.element : null;
}

/** The places at which a value was read otherwise than it was written. A missing or null part that stays empty is none. */
function mendings(written: unknown, read: unknown, path: string): string[] {
  if (Array.isArray(read) && Array.isArray(written) && read.length === written.length) {
    return read.flatMap((item, index) => mendings(written[index], item, `${path}${index}.`));
  }
  if (isRecord(read) && isRecord(written)) {
    const ignored = Object.keys(written).filter((key) => !(key in read)).length;
    return [
      ...Object.entries(read).flatMap(([key, value]) => mendings(written[key], value, `${path}${key}.`)),
      ...(ignored > 0 ? [`${path.slice(0, -1) || 'the answer'}: ${ignored} unknown key(s) were left out.`] : []),
    ];
  }
  const isEmpty = read === null || read === '' || (Array.isArray(read) && read.length === 0);
  if (read === written || (isEmpty && (written === undefined || written === null))) return [];
  return [`${path.slice(0, -1)}: mended.`];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shown(answer: ReadableAnswer): string {
  const calls = answer.toolCalls.map(({ name }) => `[called ${name}]`).join(' ');
  return `${answer.text}${calls}`.trim() || '(an empty answer)';
}

/** The JSON Schema that providers are sent: strict modes want every property required and know few limits. */
function wireSchema(schema: z.ZodType): Record<string, unknown> {
  const known = wireSchemas.get(schema);
  if (known !== undefined) return known;
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io: 'output',
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      for (const keyword of UNSENT_KEYWORDS) delete (jsonSchema as Record<string, unknown>)[keyword];
      if (jsonSchema.properties) {
        jsonSchema.required = Object.keys(jsonSchema.properties);
        jsonSchema.additionalProperties = false;
      }
    },
  }) as Record<string, unknown>;
  wireSchemas.set(schema, rest);
  return rest;
}

const wireSchemas = new WeakMap<z.ZodType, Record<string, unknown>>();
