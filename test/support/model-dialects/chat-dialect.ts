import { firstOf, list, type Dialect, type DialectRequest, type Json, type Meant, type Refusal } from './dialect.js';

/** How the chat completions of one kind of endpoint differ from those of the others. */
export interface ChatShape extends Pick<Dialect, 'name' | 'model' | 'source' | 'unknownModel' | 'hidesStreamedUsage'> {
  refusals: readonly Refusal[];
  /** How an answer that was not cut ends, and one that calls tools. */
  ends: { text: string; calls: string };
  callId: (number: number) => string;
  /** Fields of the message, or delta, that hold a thought. */
  thought?: (text: string) => Json;
  /** A thought at the head of the text itself. */
  thoughtInText?: (text: string) => string;
  /** More fields of a tool call, by its position. */
  call?: (position: number) => Json;
  /** The position that a stream gives to a call; undefined leaves it out. */
  index?: (position: number) => number | undefined;
  /** Whether arguments stand in a whole answer as an object. */
  argumentsAsObject?: boolean;
  /** Whether a stream sends each call in one piece. */
  wholeCalls?: boolean;
  /** Where a stream tells usage: in a chunk of its own, if asked for, or with the end. */
  usage: 'own chunk' | 'with the end' | ((usage: Json) => Json);
  /** Pieces before the first chunk, and between any two. */
  before?: readonly string[];
  between?: string;
  /** The fields of usage that tell of `CACHED` tokens. */
  cached?: Json;
  /** More fields of each choice, and of the last one. */
  choice?: Json;
  last?: Json;
  /** What stands before a whole answer. */
  padding?: string;
}

const CACHED = 200;
const USAGE = { prompt_tokens: 1_200, completion_tokens: 90, total_tokens: 1_290 };

export function event(data: unknown): string {
  return `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
}

/** The messages of a request to an OpenAI-compatible endpoint. */
export function messagesOf({ body }: DialectRequest): Json[] {
  return list(body.messages);
}

/** The kind of `response_format` that a request holds. */
export function formatOf({ body }: DialectRequest): unknown {
  return (body.response_format as Json | undefined)?.type;
}

export function hasTools({ body }: DialectRequest): boolean {
  return list(body.tools).length > 0;
}

export function chatDialect(shape: ChatShape): Dialect {
  const { name, model, source, unknownModel, hidesStreamedUsage = false } = shape;
  const counted = { ...USAGE, ...shape.cached };
  let calls = 0;
  const callIds = (meant: Meant): string[] => (meant.calls ?? []).map(() => shape.callId((calls += 1)));
  const textOf = (meant: Meant): string | null =>
    meant.text === undefined ? null : `${shape.thoughtInText?.(meant.thought) ?? ''}${meant.text}`;

  return {
    name,
    model,
    source,
    unknownModel,
    hidesStreamedUsage,
    cachedTokens: shape.cached ? CACHED : 0,
    path: '/chat/completions',
    refuses: firstOf([unanswered, ...shape.refusals]),
    whole: (meant, { body }) => {
      const ids = callIds(meant);
      const toolCalls = meant.calls?.map((call, position) => ({
        id: ids[position],
        type: 'function',
        function: {
          name: call.name,
          arguments: shape.argumentsAsObject ? call.arguments : JSON.stringify(call.arguments),
        },
        ...shape.call?.(position),
      }));
      const thought = shape.thought?.(meant.thought) ?? {};
      const parts = Array.isArray(thought.content)
        ? [...(thought.content as Json[]), ...textParts(textOf(meant))]
        : null;
      const message = {
        role: 'assistant',
        ...thought,
        content: parts ?? textOf(meant),
        ...(toolCalls && { tool_calls: toolCalls }),
      };
      const choice = { index: 0, message, finish_reason: meant.calls ? shape.ends.calls : shape.ends.text };
      const answer = {
        id: 'a1',
        object: 'chat.completion',
        created: 1_764_000_000,
        model: body.model,
        choices: [{ ...choice, ...shape.choice, ...shape.last }],
        usage: counted,
      };
      return `${shape.padding ?? ''}${JSON.stringify(answer)}`;
    },
    stream: (meant, { body }) => {
      const chunk = (delta: Json, end: string | null = null, more: Json = {}): string =>
        event({
          id: 'a1',
          object: 'chat.completion.chunk',
          created: 1_764_000_000,
          model: body.model,
          choices: [{ index: 0, delta, finish_reason: end, ...shape.choice, ...(end !== null && shape.last) }],
          ...more,
        });
      const thoughts = shape.thought
        ? cut(meant.thought).map((piece) => chunk({ role: 'assistant', ...shape.thought?.(piece) }))
        : [chunk({ role: 'assistant', content: '' })];
      const words = cut(textOf(meant) ?? '').map((content) => chunk({ content }));
      const ids = callIds(meant);
      const called = (meant.calls ?? []).flatMap((call, position) => {
        const index = shape.index ? shape.index(position) : position;
        const place = index === undefined ? {} : { index };
        const text = JSON.stringify(call.arguments);
        const [first = '', ...rest] = shape.wholeCalls ? [text] : ['', ...cut(text)];
        const head = {
          ...place,
          id: ids[position],
          type: 'function',
          function: { name: call.name, arguments: first },
          ...shape.call?.(position),
        };
        return [head, ...rest.map((piece) => ({ ...place, function: { arguments: piece } }))].map((toolCall) =>
          chunk({ tool_calls: [toolCall] }),
        );
      });
      const end = meant.calls ? shape.ends.calls : shape.ends.text;
      const asksForUsage = (body.stream_options as Json | undefined)?.include_usage === true;
      const usage = shape.usage === 'with the end' ? { usage: counted } : {};
      const told = typeof shape.usage === 'function' ? shape.usage(counted) : usage;
      const own = shape.usage === 'own chunk' && asksForUsage ? [event({ id: 'a1', choices: [], usage: counted })] : [];
      const chunks = [...thoughts, ...words, ...called, chunk({}, end, told), ...own];
      const spaced = chunks.flatMap((piece) => (shape.between === undefined ? [piece] : [shape.between, piece]));
      return [...(shape.before ?? []), ...spaced, event('[DONE]')];
    },
    results: (request) => {
      const messages = messagesOf(request);
      const last = messages.findLastIndex(({ role }) => role !== 'tool');
      return messages.slice(last + 1).map(({ content }) => String(content));
    },
  };
}

/** Every endpoint wants each tool call answered, by its id, before anything else is said. */
const unanswered: Refusal = (request) => {
  const open = new Set<unknown>();
  for (const message of messagesOf(request)) {
    if (message.role === 'tool') {
      if (!open.delete(message.tool_call_id)) return badRequest('a tool message answers no call');
    } else if (open.size > 0) return badRequest('a tool call was not answered');
    for (const { id } of list(message.tool_calls)) open.add(id);
  }
  return open.size > 0 && badRequest('a tool call was not answered');
};

export function badRequest(message: string, more: Json = {}): { status: number; body: Json } {
  return { status: 400, body: { error: { message, type: 'invalid_request_error', param: null, code: null, ...more } } };
}

function textParts(text: string | null): Json[] {
  return text === null ? [] : [{ type: 'text', text }];
}

/** `text` in pieces as of a few tokens. */
export function cut(text: string): string[] {
  return text.match(/[\s\S]{1,24}/g) ?? [];
}
