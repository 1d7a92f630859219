import type { LanguageModelV3Message, LanguageModelV3Prompt, LanguageModelV3ToolResultOutput } from '@ai-sdk/provider';
import { estimatePromptTokens } from '../llm/index.js';

const CHARACTERS_PER_TOKEN = 4;
/** A newest tool result is never cut below this many characters. */
const SMALLEST_RESULT = 400;
/** Characters of the words that stand where a text was cut. */
const LONGEST_MARK = 40;

/**
 * Fits a conversation into `budget` tokens, oldest first and tool results before words: earlier tool results become a note,
 * then the oldest exchanges go, then the newest tool results are cut. System messages at the start, the newest user message
 * and the newest exchange always stay, so a prompt of those alone may stay over the budget. A tool call and its results go
 * or stay together, and what is left of the history before the newest user message starts with a user.
 */
export function fitHistory(prompt: LanguageModelV3Prompt, budget: number): LanguageModelV3Prompt {
  let total = tokensOf(prompt);
  if (total <= budget) return prompt;

  const units = unitsOf(prompt);
  const newest = units.at(-1);
  for (const unit of units) {
    if (unit === newest || total <= budget) break;
    total -= shrinkResults(unit, (text) => note(text));
  }

  const lastUser = units.findLastIndex((unit) => unit.messages[0]?.role === 'user');
  const firstOfHistory = units.findIndex((unit) => unit.messages[0]?.role !== 'system');
  const startsWithWords = (from: number): boolean => units[from]?.messages[0]?.role === 'user';
  let from = firstOfHistory;
  for (; from < lastUser && (total > budget || (from > firstOfHistory && !startsWithWords(from))); from += 1) {
    total -= drop(units[from]);
  }
  for (let index = lastUser + 1; index < units.length - 1 && total > budget; index += 1) total -= drop(units[index]);

  if (total > budget && newest !== undefined) {
    const results = newest.messages.flatMap((message) => (message.role === 'tool' ? message.content : []));
    const spare = (total - budget) * CHARACTERS_PER_TOKEN;
    const size = results.reduce(
      (sum, part) => sum + (part.type === 'tool-result' ? resultText(part.output).length : 0),
      0,
    );
    const keep = Math.max(0, size - spare) / Math.max(1, size);
    shrinkResults(newest, (text) => cutMiddle(text, Math.max(SMALLEST_RESULT, Math.floor(text.length * keep))));
  }
  return units.flatMap((unit) => unit.messages);
}

/**
 * The same conversation in words alone: calls and results become text, and thoughts go, which belong to calls. Some providers refuse a history with tool calls in a
 * request that offers no tools.
 */
export function withoutToolParts(prompt: LanguageModelV3Prompt): LanguageModelV3Prompt {
  const plain: LanguageModelV3Prompt = [];
  for (const message of prompt) {
    if (message.role === 'assistant') {
      const content = message.content.flatMap((part) => {
        if (part.type === 'reasoning') return [];
        if (part.type === 'text') return { type: part.type, text: part.text };
        if (part.type !== 'tool-call') return part;
        return { type: 'text' as const, text: `[called ${part.toolName} with ${JSON.stringify(part.input)}]` };
      });
      plain.push({ role: 'assistant', content });
    } else if (message.role === 'tool') {
      const content = message.content.flatMap((part) =>
        part.type === 'tool-result'
          ? [{ type: 'text' as const, text: `[result of ${part.toolName}]\n${resultText(part.output)}` }]
          : [],
      );
      plain.push({ role: 'user', content });
    } else plain.push(message);
  }
  return plain;
}

/** Appends words of the user's side; joined to a last user message, since some models demand alternating roles. */
export function withUserText(prompt: LanguageModelV3Prompt, text: string): LanguageModelV3Prompt {
  const last = prompt.at(-1);
  const part = { type: 'text' as const, text };
  if (last?.role !== 'user') return [...prompt, { role: 'user', content: [part] }];
  return [...prompt.slice(0, -1), { ...last, content: [...last.content, part] }];
}

/** `text` within `limit` characters: head and tail, and between them how much was cut. */
export function cutMiddle(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const room = Math.max(0, limit - LONGEST_MARK);
  const mark = `\n[… ${text.length - room} characters cut …]\n`;
  const head = Math.ceil(room * 0.7);
  return (text.slice(0, head) + mark + text.slice(text.length - (room - head))).toWellFormed();
}

/** Messages that stay or go together: an assistant message and the results of its calls, or any other message alone. */
interface Unit {
  messages: LanguageModelV3Message[];
}

function unitsOf(prompt: LanguageModelV3Prompt): Unit[] {
  const units: Unit[] = [];
  for (const message of prompt) {
    const last = units.at(-1);
    if (message.role === 'tool' && last?.messages[0]?.role === 'assistant') last.messages.push(message);
    else units.push({ messages: [message] });
  }
  return units;
}

function drop(unit: Unit | undefined): number {
  const saved = unit ? tokensOf(unit.messages) : 0;
  if (unit) unit.messages = [];
  return saved;
}

function shrinkResults(unit: Unit, shrink: (text: string) => string): number {
  const before = tokensOf(unit.messages);
  unit.messages = unit.messages.map((message) => {
    if (message.role !== 'tool') return message;
    const content = message.content.map((part) => {
      if (part.type !== 'tool-result') return part;
      const text = resultText(part.output);
      const short = shrink(text);
      if (short.length >= text.length) return part;
      const type = part.output.type.startsWith('error') ? ('error-text' as const) : ('text' as const);
      return { ...part, output: { type, value: short } };
    });
    return { ...message, content };
  });
  return before - tokensOf(unit.messages);
}

function note(text: string): string {
  return `[A result of ${text.length} characters was cut to fit the context.]`;
}

function resultText(output: LanguageModelV3ToolResultOutput): string {
  if (output.type === 'text' || output.type === 'error-text') return output.value;
  if (output.type === 'execution-denied') return output.reason ?? 'denied';
  return JSON.stringify(output.value);
}

function tokensOf(prompt: LanguageModelV3Prompt): number {
  return estimatePromptTokens({ prompt });
}
