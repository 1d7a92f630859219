import type { LanguageModelV3Prompt } from '@ai-sdk/provider';
import { z } from 'zod';
import { cutMiddle, fitHistory, withUserText, type ModelSession } from '../../loop/index.js';
import type { ModelAnswer } from '../../llm/index.js';

/** A model gave no valid answer, also when shown its own and what was wrong with it. `faults` quotes nothing of it. */
export class UnreadableAnswerError extends Error {
  override readonly name = 'UnreadableAnswerError';
  constructor(
    readonly schemaName: string,
    readonly faults: readonly string[],
  ) {
    super(`The model gave no valid ${schemaName}: ${faults.join('; ')}`);
  }
}

/** Characters; anything longer is no answer of any stage. */
const LONGEST_ANSWER = 1_000_000;
const SHOWN_ANSWER = 8_000;
const MOST_FAULTS = 20;

/** Limits that some providers refuse in a schema; the answer is held to them all the same. */
const UNSENT_KEYWORDS = ['default', 'minLength', 'maxLength', 'minItems', 'maxItems', 'minimum', 'maximum', 'pattern'];

/**
 * Asks for JSON of `schema` and nothing else: one call, and one corrective retry that shows the model its own invalid answer.
 * Nothing is coerced; an answer that ended for any reason but a normal stop is not valid. The first invalid answer is
 * journalled, the last call is not.
 * @throws UnreadableAnswerError; what `ModelSession.ask` throws.
 */
export async function askStructured<Schema extends z.ZodType>(
  session: ModelSession,
  input: { prompt: LanguageModelV3Prompt; schema: Schema; name: string; maxContextTokens: number },
): Promise<z.output<Schema>> {
  const responseSchema = { name: input.name, schema: wireSchema(input.schema) };
  const ask = async (prompt: LanguageModelV3Prompt, isLast: (answer: ModelAnswer) => boolean): Promise<ModelAnswer> => {
    const { answer } = await session.ask(
      { prompt: fitHistory(prompt, input.maxContextTokens), responseSchema },
      isLast,
    );
    return answer;
  };
  const first = await ask(input.prompt, (answer) => read(answer, input.schema).valid);
  const reading = read(first, input.schema);
  if (reading.valid) return reading.value;

  const corrected = withUserText(
    [...input.prompt, { role: 'assistant', content: [{ type: 'text', text: shown(first) }] }],
    [
      `This answer is not a valid ${input.name}:`,
      ...reading.faults.map((fault) => `- ${fault}`),
      'Give the whole answer again: one JSON value of the schema, no prose around it.',
    ].join('\n'),
  );
  const second = read(await ask(corrected, () => true), input.schema);
  if (second.valid) return second.value;
  throw new UnreadableAnswerError(input.name, second.faults);
}

type Reading<T> = { valid: true; value: T } | { valid: false; faults: string[] };

function read<Schema extends z.ZodType>(answer: ModelAnswer, schema: Schema): Reading<z.output<Schema>> {
  const fault = (text: string): Reading<never> => ({ valid: false, faults: [text] });
  if (answer.finishReason !== 'stop') return fault(`it ended with "${answer.finishReason}" instead of a normal stop`);
  if (answer.toolCalls.length > 0) return fault('it asked for a tool where none was offered');
  if (answer.text.trim() === '') return fault('it is empty');
  if (answer.text.length > LONGEST_ANSWER) return fault(`it is longer than ${LONGEST_ANSWER} characters`);
  let value: unknown;
  try {
    value = JSON.parse(unfenced(answer.text));
  } catch {
    return fault('it is not one JSON value and nothing else');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return { valid: true, value: parsed.data };
  const faults = parsed.error.issues.map(
    ({ path, message }) => `${path.map(String).join('.').slice(0, 100) || 'the answer'}: ${message.slice(0, 200)}`,
  );
  return { valid: false, faults: faults.slice(0, MOST_FAULTS) };
}

/** What stands inside a code fence when the whole text is one; else the text as it is. */
function unfenced(text: string): string {
  const trimmed = text.trim();
  const firstLine = /^```(?:json)?[ \t]*\r?\n/i.exec(trimmed)?.[0];
  return firstLine !== undefined && trimmed.endsWith('```') ? trimmed.slice(firstLine.length, -3) : trimmed;
}

function shown(answer: ModelAnswer): string {
  const calls = answer.toolCalls.map(({ name }) => `[called ${name}]`).join(' ');
  return cutMiddle(`${answer.text}${calls}`.trim(), SHOWN_ANSWER) || '(an empty answer)';
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
