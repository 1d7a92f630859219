import type { LanguageModelV3CallOptions, LanguageModelV3Message } from '@ai-sdk/provider';

/** Stands in every text that a scripted model says, so that nobody takes it for a model's judgement. */
export const SCRIPTED = '[scripted]';

/** A tool call that the model made earlier in the conversation, with what came back. */
export interface PastCall {
  tool: string;
  args: Record<string, unknown>;
  /** The result's text; null while there is none. */
  result: string | null;
  failed: boolean;
}

/** What a script may look at: the prompt and nothing else, so that any process gives the same answer at any time. */
export interface ScriptTurn {
  /** What the person asks for: the last words of the user's side that are not a tool's result. */
  request: string;
  /** What the person asked for first. */
  opening: string;
  /** All text of system and user messages. */
  said: string;
  /** Tool calls since the request, oldest first. */
  calls: readonly PastCall[];
  /** Tool calls of the whole conversation. */
  allCalls: readonly PastCall[];
  tools: readonly { name: string; inputSchema: Record<string, unknown> }[];
  /** The schema that the answer has to have. */
  schema?: { name: string; schema: Record<string, unknown> };
}

/** The next answer: text (in pieces `pauseMs` apart), tool calls, or JSON. */
export type ScriptAnswer =
  | { text: string; pauseMs?: number }
  | { calls: readonly { tool: string; args: Record<string, unknown> }[] }
  | { json: unknown };

export type Script = (turn: ScriptTurn) => ScriptAnswer;

/** Reads a provider's call as a script sees it. */
export function toTurn(options: LanguageModelV3CallOptions): ScriptTurn {
  const { prompt, responseFormat } = options;
  const asked = prompt.findLastIndex((message) => message.role === 'user' && !isPlainResult(message));
  const tools = options.toolChoice?.type === 'none' ? [] : (options.tools ?? []);
  return {
    request: wordsOf(prompt[asked]),
    opening: wordsOf(prompt.find((message) => message.role === 'user')),
    said: prompt
      .filter((message) => message.role === 'system' || message.role === 'user')
      .map(textOf)
      .join('\n'),
    calls: callsOf(prompt.slice(asked + 1)),
    allCalls: callsOf(prompt),
    tools: tools.flatMap((tool) =>
      tool.type === 'function' ? [{ name: tool.name, inputSchema: tool.inputSchema as Record<string, unknown> }] : [],
    ),
    ...(responseFormat?.type === 'json' &&
      responseFormat.schema && {
        schema: { name: responseFormat.name ?? '', schema: responseFormat.schema as Record<string, unknown> },
      }),
  };
}

/** What stands between the marks around a tool's result; the whole text where there are none. */
function unwrapped(result: string): string {
  return /^<tool_output id="(\w+)"[^>]*>\n([\s\S]*)\n<\/tool_output id="\1">/.exec(result)?.[2] ?? result;
}

// A request that offers no tools may hold earlier calls and results as words, since some providers demand it.
const PLAIN_CALL = /^\[called (\S+) with ([\s\S]*)\]$/;
const PLAIN_RESULT = /^\[result of (\S+)\]\n/;

function isPlainResult(message: LanguageModelV3Message): boolean {
  const first = typeof message.content === 'string' ? undefined : message.content[0];
  return first?.type === 'text' && PLAIN_RESULT.test(first.text);
}

function textOf(message: LanguageModelV3Message | undefined): string {
  if (!message) return '';
  if (typeof message.content === 'string') return message.content;
  return message.content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
}

/** A person's words: those marked as the request where a prompt holds more than them, else all. */
function wordsOf(message: LanguageModelV3Message | undefined): string {
  const text = textOf(message);
  return /<data-(\w+) name="request">\n([\s\S]*?)\n<\/data-\1>/.exec(text)?.[2] ?? text;
}

function callsOf(messages: readonly LanguageModelV3Message[]): PastCall[] {
  const calls: PastCall[] = [];
  const byId = new Map<string, PastCall>();
  for (const message of messages) {
    if (typeof message.content === 'string') continue;
    for (const part of message.content) {
      if (part.type === 'tool-call') {
        const call: PastCall = { tool: part.toolName, args: asRecord(part.input), result: null, failed: false };
        byId.set(part.toolCallId, call);
        calls.push(call);
      } else if (part.type === 'tool-result') {
        const { output } = part;
        const text =
          'value' in output ? (typeof output.value === 'string' ? output.value : JSON.stringify(output.value)) : '';
        answer(byId.get(part.toolCallId), text, output.type.startsWith('error') || output.type === 'execution-denied');
      } else if (part.type === 'text' && message.role === 'assistant') {
        const [, tool, args] = PLAIN_CALL.exec(part.text) ?? [];
        if (tool) calls.push({ tool, args: asRecord(parsed(args ?? '')), result: null, failed: false });
      } else if (part.type === 'text' && message.role === 'user') {
        const [mark, tool] = PLAIN_RESULT.exec(part.text) ?? [];
        if (!mark) continue;
        const text = part.text.slice(mark.length);
        answer(
          calls.find((call) => call.tool === tool && call.result === null),
          text,
          /^<tool_output [^>]*status="error"/.test(text),
        );
      }
    }
  }
  return calls;
}

function answer(call: PastCall | undefined, text: string, failed: boolean): void {
  if (!call) return;
  call.result = unwrapped(text);
  call.failed = failed;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return null;
  }
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
