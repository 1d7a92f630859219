import type { LanguageModelV3Prompt } from '@ai-sdk/provider';
import type { ModelCall } from './model-call.js';

/** English prose has four to five bytes a token. */
const BYTES_PER_TOKEN = 4;
/** Hexadecimal, base64 and the denser scripts come down to about two; a limit must hold for them as well. */
const FEWEST_BYTES_PER_TOKEN = 2;
/** Roughly what providers count for one picture. */
const TOKENS_PER_FILE = 1_600;
const TOKENS_PER_MESSAGE = 4;

type Request = Pick<ModelCall, 'prompt' | 'tools' | 'responseSchema'>;

/** About how many tokens `text` is: one for four bytes of UTF-8. */
export function estimateTokens(text: string): number {
  return tokensOf(text, BYTES_PER_TOKEN);
}

/** About how many tokens a request is, with the tools it offers. */
export function estimatePromptTokens(request: Request): number {
  return promptTokens(request, BYTES_PER_TOKEN);
}

/** How many tokens a request is at the most: one for two bytes. */
export function mostPromptTokens(request: Request): number {
  return promptTokens(request, FEWEST_BYTES_PER_TOKEN);
}

function tokensOf(text: string, bytesPerToken: number): number {
  return Math.ceil(Buffer.byteLength(text) / bytesPerToken);
}

function promptTokens({ prompt, tools, responseSchema }: Request, bytesPerToken: number): number {
  let tokens = 0;
  for (const message of prompt) tokens += TOKENS_PER_MESSAGE + messageTokens(message, bytesPerToken);
  if (tools?.length) tokens += tokensOf(JSON.stringify(tools), bytesPerToken);
  if (responseSchema) tokens += tokensOf(JSON.stringify(responseSchema.schema), bytesPerToken);
  return tokens;
}

function messageTokens(message: LanguageModelV3Prompt[number], bytesPerToken: number): number {
  if (typeof message.content === 'string') return tokensOf(message.content, bytesPerToken);
  let tokens = 0;
  for (const part of message.content) {
    if (part.type === 'file') tokens += TOKENS_PER_FILE;
    else if (part.type === 'text' || part.type === 'reasoning') tokens += tokensOf(part.text, bytesPerToken);
    else tokens += tokensOf(JSON.stringify(part), bytesPerToken);
  }
  return tokens;
}
