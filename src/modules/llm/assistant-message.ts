import type { LanguageModelV3Prompt, LanguageModelV3ToolCallPart } from '@ai-sdk/provider';
import type { ModelAnswer, ModelToolCall } from './model-call.js';

type AssistantMessage = Extract<LanguageModelV3Prompt[number], { role: 'assistant' }>;

/** The provider options that name the model a message came from. */
const ORIGIN = 'nova';

/** An answer as a message of the next prompt, with whatever its model wants back. `toolCall` makes the part of a call. */
export function assistantMessage(
  answer: ModelAnswer,
  toolCall: (call: ModelToolCall) => LanguageModelV3ToolCallPart,
): AssistantMessage {
  const { returned, text, toolCalls, model } = answer;
  const calls = toolCalls.map(toolCall);
  const content: AssistantMessage['content'] = returned?.parts
    ? returned.parts.flatMap((part) => {
        if (part.type === 'tool-call') return calls[part.call] ?? [];
        return { type: part.type, text: part.text, ...(part.metadata && { providerOptions: part.metadata }) };
      })
    : [...(text === '' ? [] : [{ type: 'text' as const, text }]), ...calls];
  const isBound = returned !== undefined || calls.some((call) => call.providerOptions !== undefined);
  return {
    role: 'assistant',
    content,
    ...(isBound && { providerOptions: { ...returned?.message, [ORIGIN]: { model } } }),
  };
}

/** Whether `message` holds something that `model` wants back. */
export function isBoundTo(model: string, message: LanguageModelV3Prompt[number]): boolean {
  return message.role === 'assistant' && message.providerOptions?.[ORIGIN]?.model === model;
}

/** The prompt without what other models than `model` want back; without anybody's when it is null. */
export function promptFor(prompt: LanguageModelV3Prompt, model: string | null): LanguageModelV3Prompt {
  if (!prompt.some((message) => message.role === 'assistant' && message.providerOptions?.[ORIGIN])) return prompt;
  return prompt.map((message) => {
    if (message.role !== 'assistant' || !message.providerOptions?.[ORIGIN]) return message;
    if (model !== null && isBoundTo(model, message)) return message;
    const content = message.content.flatMap((part) => {
      if (part.type === 'reasoning') return [];
      const { providerOptions: _, ...rest } = part;
      return rest as typeof part;
    });
    return { role: 'assistant' as const, content };
  });
}
