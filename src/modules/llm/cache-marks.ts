import type { LanguageModelV3Prompt, SharedV3ProviderOptions } from '@ai-sdk/provider';

const MARK: SharedV3ProviderOptions = { anthropic: { cacheControl: { type: 'ephemeral' } } };

/**
 * The prompt with the marks up to which Anthropic's cache keeps it: after the system prompt, with which the tools before it
 * are kept, and, where tools make a conversation of it, after its newest message. Writing costs more than reading, so a
 * prompt that nothing will follow is not marked at its end.
 */
export function withCacheMarks(prompt: LanguageModelV3Prompt, hasTools: boolean): LanguageModelV3Prompt {
  const lastSystem = prompt.findLastIndex(({ role }) => role === 'system');
  return prompt.map((message, index) => {
    const isMarked = index === lastSystem || (hasTools && index === prompt.length - 1);
    return isMarked ? { ...message, providerOptions: { ...message.providerOptions, ...MARK } } : message;
  });
}
