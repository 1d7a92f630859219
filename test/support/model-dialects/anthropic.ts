import { cut } from './chat-dialect.js';
import { firstOf, list, type Dialect, type DialectRequest, type Json, type Meant, type Refusal } from './dialect.js';

const invalid = (message: string): { status: number; body: Json } => ({
  status: 400,
  body: { type: 'error', error: { type: 'invalid_request_error', message }, request_id: 'req_1' },
});
const blocks = ({ body }: DialectRequest): Json[] => list(body.messages).flatMap(({ content }) => list(content));

const REFUSALS: Refusal[] = [
  ({ headers }) =>
    headers['x-api-key'] === undefined && {
      status: 401,
      body: { type: 'error', error: { type: 'authentication_error', message: 'x-api-key header is required' } },
    },
  ({ headers }) => headers['anthropic-version'] === undefined && invalid('anthropic-version: header is required'),
  ({ body }) => typeof body.max_tokens !== 'number' && invalid('max_tokens: Field required'),
  ({ body }) =>
    Number(body.max_tokens) > 64_000 &&
    invalid(
      `max_tokens: ${Number(body.max_tokens)} > 64000, which is the maximum allowed number of output tokens for claude-sonnet-4-5`,
    ),
  ({ body }) => Number(body.temperature ?? 0) > 1 && invalid('temperature: range: 0..1'),
  ({ body }) =>
    body.temperature !== undefined &&
    body.top_p !== undefined &&
    invalid('`temperature` and `top_p` cannot both be specified for this model. Please use only one.'),
  (request) => {
    const marked = [...list(request.body.system), ...list(request.body.tools), ...blocks(request)];
    const count = marked.filter((block) => block.cache_control !== undefined).length;
    return count > 4 && invalid(`A maximum of 4 blocks with cache_control may be provided. Found ${count}.`);
  },
  ({ body }) => {
    // Results come in the very next message, for every call.
    const messages = list(body.messages);
    const open = messages.findIndex(({ content }, at) => {
      const ids = list(content).flatMap((block) => (block.type === 'tool_use' ? [block.id] : []));
      const answered = list(messages[at + 1]?.content).map((block) => block.tool_use_id);
      return ids.some((id) => !answered.includes(id));
    });
    return open >= 0 && invalid(`messages.${open}: \`tool_use\` ids were found without \`tool_result\` blocks`);
  },
];

let calls = 0;
function contentOf(meant: Meant): Json[] {
  const text = meant.text ?? 'I look at both files.';
  return [
    { type: 'text', text },
    ...(meant.calls ?? []).map(({ name, arguments: input }) => ({
      type: 'tool_use',
      id: `toolu_${String((calls += 1)).padStart(24, '0')}`,
      name,
      input,
    })),
  ];
}

const event = (type: string, data: Json): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;

export const ANTHROPIC: Dialect = {
  name: 'Anthropic',
  model: 'anthropic/claude-sonnet-4-5',
  source: 'docs.claude.com/en/api/messages and /messages-streaming, November 2026',
  path: '/messages',
  cachedTokens: 200,
  unknownModel: {
    status: 404,
    body: { type: 'error', error: { type: 'not_found_error', message: 'model: claude-sonnet-4-5' } },
  },
  refuses: firstOf(REFUSALS),
  whole: (meant, { body }) => ({
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: body.model,
    content: contentOf(meant),
    stop_reason: meant.calls ? 'tool_use' : 'end_turn',
    stop_sequence: null,
    usage: { input_tokens: 1_000, cache_creation_input_tokens: 0, cache_read_input_tokens: 200, output_tokens: 90 },
  }),
  stream: (meant, { body }) => {
    const usage = {
      input_tokens: 1_000,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 200,
      output_tokens: 1,
    };
    const message = { id: 'msg_1', type: 'message', role: 'assistant', model: body.model, content: [], usage };
    const parts = contentOf(meant).flatMap((block, index) => {
      const isText = block.type === 'text';
      const deltas = isText
        ? cut(String(block.text)).map((text) => ({ type: 'text_delta', text }))
        : ['', ...cut(JSON.stringify(block.input))].map((json) => ({ type: 'input_json_delta', partial_json: json }));
      return [
        event('content_block_start', {
          index,
          content_block: isText ? { type: 'text', text: '' } : { ...block, input: {} },
        }),
        event('ping', {}),
        ...deltas.map((delta) => event('content_block_delta', { index, delta })),
        event('content_block_stop', { index }),
      ];
    });
    const stop = { stop_reason: meant.calls ? 'tool_use' : 'end_turn', stop_sequence: null };
    return [
      event('message_start', { message: { ...message, stop_reason: null, stop_sequence: null } }),
      ...parts,
      event('message_delta', { delta: stop, usage: { output_tokens: 90 } }),
      event('message_stop', {}),
    ];
  },
  results: ({ body }) =>
    list(list(body.messages).at(-1)?.content).flatMap((block) =>
      block.type === 'tool_result'
        ? [typeof block.content === 'string' ? block.content : JSON.stringify(block.content)]
        : [],
    ),
};
