import type { LanguageModelV3Prompt } from '@ai-sdk/provider';

/** The prompt with the demand for JSON of `schema` written at its end, for models that cannot be held to a schema. */
export function withSchemaInPrompt(
  prompt: LanguageModelV3Prompt,
  schema: Record<string, unknown>,
): LanguageModelV3Prompt {
  const text = [
    'Answer with one JSON value that is valid against this JSON Schema. No prose, no code fence.',
    JSON.stringify(schema),
  ].join('\n');
  const last = prompt.at(-1);
  // Chat templates of local models often insist on alternating roles.
  if (last?.role === 'user')
    return [...prompt.slice(0, -1), { ...last, content: [...last.content, { type: 'text', text }] }];
  return [...prompt, { role: 'user', content: [{ type: 'text', text }] }];
}
