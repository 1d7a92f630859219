import { badRequest, chatDialect, formatOf, messagesOf } from './chat-dialect.js';
import { list, type Dialect } from './dialect.js';

const DETAIL = { type: 'reasoning.text', format: 'anthropic-claude-v1', index: 0 };

export const OPENROUTER: Dialect = chatDialect({
  name: 'OpenRouter',
  model: 'moonshotai/kimi-k2-thinking',
  source:
    'openrouter.ai/docs: api-reference/streaming, api-reference/errors, use-cases/reasoning-tokens, November 2026',
  unknownModel: {
    status: 400,
    body: { error: { message: 'moonshotai/kimi-k2-thinking is not a valid model ID', code: 400 } },
  },
  refusals: [
    (request) =>
      messagesOf(request).some(
        (message) => list(message.tool_calls).length > 0 && list(message.reasoning_details).length === 0,
      ) && {
        status: 400,
        body: {
          error: {
            message: 'Provider returned error',
            code: 400,
            metadata: {
              raw: '{"error":{"message":"thinking is enabled but reasoning_content is missing in assistant tool call message"}}',
              provider_name: 'Moonshot AI',
            },
          },
        },
      },
  ],
  ends: { text: 'stop', calls: 'tool_calls' },
  callId: (number) => `functions.read_file:${number}`,
  thought: (text) => ({ content: '', reasoning: text, reasoning_details: [{ ...DETAIL, text }] }),
  cached: { prompt_tokens_details: { cached_tokens: 200 } },
  usage: 'with the end',
  before: [': OPENROUTER PROCESSING\n\n'],
  between: ': OPENROUTER PROCESSING\n\n',
  choice: { native_finish_reason: null, logprobs: null },
});

export const TOGETHER: Dialect = chatDialect({
  name: 'Together',
  model: 'together/Qwen3-Next-80B',
  source: 'docs.together.ai: reference/chat-completions, docs/inference-faqs, November 2026',
  unknownModel: {
    status: 404,
    body: {
      id: 'o1',
      error: {
        message:
          'Unable to access model together/Qwen3-Next-80B. Please visit https://api.together.ai/models to view the list of supported models.',
        type: 'invalid_request_error',
        param: null,
        code: 'model_not_available',
      },
    },
  },
  refusals: [
    ({ body }) =>
      Number(body.max_tokens ?? 1) > 2_048 && {
        status: 422,
        body: {
          id: 'o1',
          error: {
            message: `Input validation error: \`inputs\` tokens + \`max_new_tokens\` must be <= 4097. Given: 2100 \`inputs\` tokens and ${Number(body.max_tokens)} \`max_new_tokens\``,
            type: 'invalid_request_error',
            param: 'max_tokens',
            code: null,
          },
        },
      },
    (request) =>
      formatOf(request) === 'json_schema' &&
      badRequest('Invalid response_format: json_schema is not supported by this model'),
  ],
  ends: { text: 'eos', calls: 'tool_calls' },
  callId: (number) => `call_${String(number).padStart(24, 't')}`,
  cached: { cached_tokens: 200 },
  usage: 'with the end',
  choice: { seed: null, logprobs: null, text: '' },
});

export const LITELLM: Dialect = chatDialect({
  name: 'LiteLLM',
  model: 'litellm-claude-opus',
  source: 'docs.litellm.ai: docs/reasoning_content, docs/exception_mapping, docs/completion/drop_params, November 2026',
  unknownModel: badRequest(
    '/chat/completions: Invalid model name passed in model=litellm-claude-opus. Call `/v1/models` to view available models for your key.',
    { code: '400' },
  ),
  refusals: [
    ({ body }) =>
      body.temperature !== undefined &&
      badRequest(
        "litellm.UnsupportedParamsError: anthropic does not support parameters: ['temperature'], for model=claude-opus. To drop these, set `litellm.drop_params=True`",
        { type: 'None', param: 'None', code: '400' },
      ),
    (request) =>
      messagesOf(request).some(
        (message) => list(message.tool_calls).length > 0 && list(message.thinking_blocks)[0]?.signature !== 'sealed',
      ) &&
      badRequest(
        'litellm.BadRequestError: AnthropicException - Expected `thinking` or `redacted_thinking`, but found `tool_use`.',
        { code: '400' },
      ),
  ],
  ends: { text: 'stop', calls: 'tool_calls' },
  callId: (number) => `toolu_${String(number).padStart(22, 'L')}`,
  thought: (text) => ({
    reasoning_content: text,
    thinking_blocks: [{ type: 'thinking', thinking: text, signature: 'sealed' }],
    provider_specific_fields: null,
  }),
  cached: {
    cache_read_input_tokens: 200,
    cache_creation_input_tokens: 0,
    prompt_tokens_details: { cached_tokens: 200 },
  },
  usage: 'own chunk',
});
