import { badRequest, chatDialect, formatOf, hasTools, messagesOf } from './chat-dialect.js';
import { list, type Dialect, type Json, type Reply } from './dialect.js';

const google = (code: number, status: string, message: string): Reply => ({
  status: code,
  body: [{ error: { code, message, status } }],
});
const SIGNATURE = 'EjQKMgEMOoWvQ0s8';

export const GEMINI: Dialect = chatDialect({
  name: 'Gemini, compatible endpoint',
  model: 'gemini-3-flash',
  source: 'ai.google.dev/gemini-api/docs/openai and /thought-signatures, November 2026',
  unknownModel: google(404, 'NOT_FOUND', 'models/gemini-3-flash is not found for API version v1main'),
  refusals: [
    (request) =>
      hasTools(request) &&
      formatOf(request) !== undefined &&
      google(400, 'INVALID_ARGUMENT', "Function calling with a response mime type: 'application/json' is unsupported"),
    (request) => {
      const unsigned = messagesOf(request).some(({ tool_calls: calls }) => {
        const google = (list(calls)[0]?.extra_content as Json | undefined)?.google as Json | undefined;
        return list(calls).length > 0 && google?.thought_signature !== SIGNATURE;
      });
      return (
        unsigned &&
        google(400, 'INVALID_ARGUMENT', 'Function call is missing a thought_signature in functionCall parts.')
      );
    },
  ],
  // The compatible endpoint says `stop` also where tools are called, and signs the first of parallel calls.
  ends: { text: 'stop', calls: 'stop' },
  callId: (number) => `function-call-${1_000_000_000 + number}`,
  call: (position) => (position === 0 ? { extra_content: { google: { thought_signature: SIGNATURE } } } : {}),
  index: () => 0,
  wholeCalls: true,
  usage: 'with the end',
});

const extra = (field: string): Reply => ({
  status: 422,
  body: {
    object: 'error',
    message: { detail: [{ type: 'extra_forbidden', loc: ['body', field], msg: 'Extra inputs are not permitted' }] },
    type: 'invalid_request_error',
    param: null,
    code: null,
  },
});

export const MISTRAL: Dialect = chatDialect({
  name: 'Mistral',
  model: 'magistral-medium',
  source: 'docs.mistral.ai/api and /capabilities/reasoning, November 2026',
  unknownModel: badRequest('Invalid model: magistral-medium', { type: 'invalid_model', code: '1500' }),
  refusals: [
    ({ body }) => body.stream_options !== undefined && extra('stream_options'),
    ({ body }) => body.max_completion_tokens !== undefined && extra('max_completion_tokens'),
    (request) =>
      messagesOf(request).some((message) => message.reasoning_content !== undefined) && extra('reasoning_content'),
    (request) =>
      messagesOf(request)
        .flatMap(({ tool_calls: calls }) => list(calls))
        .some(({ id }) => !/^[a-zA-Z0-9]{9}$/.test(String(id))) &&
      badRequest('Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.', {
        type: 'invalid_function_call',
        code: '3280',
      }),
  ],
  ends: { text: 'stop', calls: 'tool_calls' },
  callId: (number) => `D${String(number).padStart(8, '0')}`,
  thought: (text) => ({ content: [{ type: 'thinking', thinking: [{ type: 'text', text }] }] }),
  wholeCalls: true,
  usage: 'with the end',
});

export const DEEPSEEK: Dialect = chatDialect({
  name: 'DeepSeek',
  model: 'deepseek-reasoner',
  source: 'api-docs.deepseek.com: guides/thinking_mode, rate_limit, error_codes, November 2026',
  unknownModel: badRequest('Model Not Exist', { code: 'invalid_request_error' }),
  refusals: [
    (request) =>
      formatOf(request) === 'json_schema' &&
      badRequest('This response_format type is unavailable now', { code: 'invalid_request_error' }),
    ({ body }) =>
      Number(body.max_tokens ?? 1) > 65_536 &&
      badRequest('Invalid max_tokens value, the valid range of max_tokens is [1, 65536]'),
    (request) =>
      messagesOf(request).some(
        ({ tool_calls: calls, reasoning_content: thought }) => list(calls).length > 0 && !thought,
      ) && badRequest('The `reasoning_content` in the thinking mode must be passed back to the API.'),
  ],
  ends: { text: 'stop', calls: 'tool_calls' },
  callId: (number) => `call_00_${String(number).padStart(24, 'd')}`,
  thought: (reasoning) => ({ content: null, reasoning_content: reasoning }),
  cached: { prompt_cache_hit_tokens: 200, prompt_cache_miss_tokens: 1_000 },
  usage: 'with the end',
  // Requests that wait are kept open: comments in a stream, empty lines before a whole answer.
  before: [': keep-alive\n\n', ': keep-alive\n\n'],
  padding: '\n\n\n',
});

export const GROQ: Dialect = chatDialect({
  name: 'Groq',
  model: 'groq-llama-3.3-70b-versatile',
  source: 'console.groq.com/docs: api-reference, errors, structured-outputs, November 2026',
  unknownModel: {
    status: 404,
    body: {
      error: {
        message: 'The model `groq-llama-3.3-70b-versatile` does not exist or you do not have access to it.',
        type: 'invalid_request_error',
        code: 'model_not_found',
      },
    },
  },
  refusals: [
    (request) =>
      formatOf(request) === 'json_schema' &&
      badRequest(
        'This model does not support response format `json_schema`. See supported models at https://console.groq.com/docs/structured-outputs',
        { param: 'response_format' },
      ),
    (request) =>
      messagesOf(request).some((message) => message.reasoning_content !== undefined) &&
      badRequest(
        "'messages.2' : for 'role:assistant' the following must be satisfied[('messages.2' : property 'reasoning_content' is unsupported)]",
      ),
    ({ body }) =>
      Number(body.max_tokens ?? body.max_completion_tokens ?? 1) > 32_768 &&
      badRequest('`max_tokens` must be less than or equal to `32768`, the maximum value for this model'),
  ],
  ends: { text: 'stop', calls: 'tool_calls' },
  callId: (number) => `call_${String(number).padStart(4, 'g')}`,
  thought: (reasoning) => ({ reasoning }),
  wholeCalls: true,
  cached: { prompt_tokens_details: { cached_tokens: 200 } },
  usage: (usage) => ({ x_groq: { id: 'req_1', usage } }),
});
