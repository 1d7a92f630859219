import type { LanguageModelV3Prompt } from '@ai-sdk/provider';
import type { ModelCall } from './model-call.js';

const BYTES_PER_TOKEN = 4;
/** Roughly what providers count for one picture. */
const TOKENS_PER_FILE = 1_600;
const TOKENS_PER_MESSAGE = 4;

/** About how many tokens `text` is: one for four bytes of UTF-8. */
export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN);
}

/** About how many tokens a request is, with the tools it offers. */
export function estimatePromptTokens(call: Pick<ModelCall, 'prompt' | 'tools' | 'responseSchema'>): number {
  let tokens = call.prompt.reduce((sum, message) => sum + TOKENS_PER_MESSAGE + estimateMessage(message), 0);
  if (call.tools?.length) tokens += estimateTokens(JSON.stringify(call.tools));
  if (call.responseSchema) tokens += estimateTokens(JSON.stringify(call.responseSchema.schema));
  return tokens;
}

function estimateMessage(message: LanguageModelV3Prompt[number]): number {
  if (typeof message.content === 'string') return estimateTokens(message.content);
  let tokens = 0;
  for (const part of message.content) {
    if (part.type === 'file') tokens += TOKENS_PER_FILE;
    else if (part.type === 'text' || part.type === 'reasoning') tokens += estimateTokens(part.text);
    else tokens += estimateTokens(JSON.stringify(part));
  }
  return tokens;
}
