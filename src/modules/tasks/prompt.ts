import type { LanguageModelV3Message, LanguageModelV3Prompt } from '@ai-sdk/provider';
import { DomainError } from '../../platform/errors/index.js';

/** A message as callers send it. */
export interface Message {
  role: 'system' | 'user' | 'assistant' | 'tool';
  content: string | readonly ContentPart[];
  name?: string | undefined;
  tool_call_id?: string | undefined;
  tool_calls?: readonly { id: string; function: { name: string; arguments: string } }[] | undefined;
}

export type ContentPart = { type: 'text'; text: string } | { type: 'image_url'; image_url: { url: string } };

type AssistantContent = Extract<LanguageModelV3Message, { role: 'assistant' }>['content'];
type UserContent = Extract<LanguageModelV3Message, { role: 'user' }>['content'];

const DATA_URL = /^data:(image\/[\w.+-]+);base64,/;
const MISSING_RESULT = 'There is no result of this call.';

/**
 * The prompt that `messages` are. System messages go to the front, since most providers take them nowhere else; results are
 * put behind the calls that they belong to, and a call without one gets a note, since providers refuse it otherwise.
 * @throws DomainError `validation_failed` for a result of no call.
 */
export function promptOf(messages: readonly Message[]): LanguageModelV3Prompt {
  const system: LanguageModelV3Prompt = [];
  const talk: LanguageModelV3Prompt = [];
  const results = resultsOf(messages);
  messages.forEach((message, index) => {
    if (message.role === 'system') system.push({ role: 'system', content: textOf(message.content) });
    else if (message.role === 'user') talk.push({ role: 'user', content: userContent(message.content) });
    else if (message.role === 'assistant') {
      const calls = message.tool_calls ?? [];
      const content: AssistantContent = [];
      const text = textOf(message.content);
      if (text !== '' || calls.length === 0) content.push({ type: 'text', text });
      for (const { id, function: called } of calls) {
        content.push({
          type: 'tool-call',
          toolCallId: id,
          toolName: called.name,
          input: argumentsOf(called.arguments),
        });
      }
      talk.push({ role: 'assistant', content });
      if (calls.length === 0) return;
      talk.push({
        role: 'tool',
        content: calls.map(({ id, function: called }) => {
          const value = results.get(`${index} ${id}`);
          return {
            type: 'tool-result',
            toolCallId: id,
            toolName: called.name,
            output: value === undefined ? { type: 'error-text', value: MISSING_RESULT } : { type: 'text', value },
          };
        }),
      });
    }
  });
  return [...system, ...talk];
}

/** Texts of tool messages by the index of the assistant message that asked for them and the call's id. */
function resultsOf(messages: readonly Message[]): Map<string, string> {
  const results = new Map<string, string>();
  const open = new Map<string, number>();
  messages.forEach((message, index) => {
    for (const { id } of message.role === 'assistant' ? (message.tool_calls ?? []) : []) {
      if (open.has(id)) {
        throw DomainError.invalid(`#/messages/${index}/tool_calls`, 'Two tool calls have the same id.');
      }
      open.set(id, index);
    }
    if (message.role !== 'tool') return;
    const asked = message.tool_call_id === undefined ? undefined : open.get(message.tool_call_id);
    if (asked === undefined) {
      throw DomainError.invalid(
        `#/messages/${index}/tool_call_id`,
        'A tool message must name a tool call of an assistant message before it.',
      );
    }
    results.set(`${asked} ${message.tool_call_id}`, textOf(message.content));
  });
  return results;
}

function textOf(content: Message['content']): string {
  if (typeof content === 'string') return content;
  return content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
}

function userContent(content: Message['content']): UserContent {
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  return content.map((part) => {
    if (part.type === 'text') return part;
    const { url } = part.image_url;
    const [head, mediaType] = DATA_URL.exec(url) ?? [];
    // The provider fetches it, not this service.
    if (head === undefined || mediaType === undefined)
      return { type: 'file', mediaType: 'image/*', data: new URL(url) };
    return { type: 'file', mediaType, data: url.slice(head.length) };
  });
}

function argumentsOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Shown to the model as what it is.
  }
  return { unparsed: text };
}
