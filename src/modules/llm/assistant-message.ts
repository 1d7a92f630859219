import type { LanguageModelV3Prompt, LanguageModelV3ToolCallPart } from '@ai-sdk/provider';
import type { ModelAnswer, ModelToolCall } from './model-call.js';
import { isPlainCallId, plainCallId } from './tool-call-id.js';

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
  const isBound = returned !== undefined || calls.length > 0;
  return {
    role: 'assistant',
    content,
    ...(isBound && { providerOptions: { ...returned?.message, [ORIGIN]: { model } } }),
  };
}

/** Whether `message` holds something that `model` wants back beside text and tool calls. */
export function isBoundTo(model: string, message: LanguageModelV3Prompt[number]): boolean {
  if (message.role !== 'assistant' || !isFrom(model, message)) return false;
  const isOwn = (options: object | undefined): boolean => Object.keys(options ?? {}).some((name) => name !== ORIGIN);
  return isOwn(message.providerOptions) || message.content.some((part) => isOwn(part.providerOptions));
}

/** Whether `message` holds ids of tool calls that `model` made up, and that another one may refuse. */
export function holdsIdsOf(model: string, message: LanguageModelV3Prompt[number]): boolean {
  if (message.role !== 'assistant' || !isFrom(model, message)) return false;
  return message.content.some((part) => part.type === 'tool-call' && !isPlainCallId(part.toolCallId));
}

/** What of an answer goes back to the model that gave it. */
export interface SentBack {
  /** What it wants back beside text and tool calls. */
  reasoning: boolean;
  /** The ids that it gave to tool calls. */
  callIds: boolean;
}

/**
 * The prompt without what other models than `model` want back, and with ids of tool calls that every provider takes in the
 * place of theirs.
 */
export function promptFor(prompt: LanguageModelV3Prompt, model: string, sends: SentBack): LanguageModelV3Prompt {
  const ids = new Map<string, string>();
  const messages = prompt.map((message) => {
    if (message.role !== 'assistant') return message;
    const isOwn = isFrom(model, message);
    const isStripped = message.providerOptions?.[ORIGIN] !== undefined && !(isOwn && sends.reasoning);
    const content = message.content.flatMap((part) => {
      if (isStripped && part.type === 'reasoning') return [];
      const { providerOptions: own, ...rest } = part;
      const kept = (isStripped || own === undefined ? rest : part) as typeof part;
      if (kept.type !== 'tool-call' || isPlainCallId(kept.toolCallId)) return kept;
      if (isOwn && sends.callIds) return kept;
      const toolCallId = plainCallId(kept.toolCallId);
      ids.set(kept.toolCallId, toolCallId);
      return { ...kept, toolCallId };
    });
    return isStripped ? { role: message.role, content } : { ...message, content };
  });
  return messages.map((message) => (message.role === 'tool' ? withIds(message, ids) : message));
}

type ToolMessage = Extract<LanguageModelV3Prompt[number], { role: 'tool' }>;

function withIds(message: ToolMessage, ids: ReadonlyMap<string, string>): ToolMessage {
  const content = message.content.map((part) => {
    const toolCallId = part.type === 'tool-result' ? ids.get(part.toolCallId) : undefined;
    return toolCallId === undefined ? part : { ...part, toolCallId };
  });
  return { ...message, content: content as ToolMessage['content'] };
}

function isFrom(model: string, { providerOptions }: AssistantMessage): boolean {
  return providerOptions?.[ORIGIN]?.model === model;
}
