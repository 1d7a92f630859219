import { badRequest, chatDialect, formatOf, hasTools } from './chat-dialect.js';
import type { Dialect, Json, Refusal } from './dialect.js';

/** Reasoning models of OpenAI refuse what steers sampling, and the old name of the limit. */
const REASONING: Refusal[] = [
  ({ body }) =>
    body.max_tokens !== undefined &&
    badRequest(
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
      { param: 'max_tokens', code: 'unsupported_parameter' },
    ),
  ({ body }) =>
    body.temperature !== undefined &&
    body.temperature !== 1 &&
    badRequest(
      `Unsupported value: 'temperature' does not support ${Number(body.temperature)} with this model. Only the default (1) value is supported.`,
      { param: 'temperature', code: 'unsupported_value' },
    ),
  ({ body }) =>
    body.stream !== true &&
    body.stream_options !== undefined &&
    badRequest("The 'stream_options' parameter is only allowed when 'stream' is enabled.", { param: 'stream_options' }),
];

const missing = (model: string): { status: number; body: Json } => ({
  status: 404,
  body: {
    error: {
      message: `The model \`${model}\` does not exist or you do not have access to it.`,
      type: 'invalid_request_error',
      param: null,
      code: 'model_not_found',
    },
  },
});

export const OPENAI: Dialect = chatDialect({
  name: 'OpenAI',
  model: 'gpt-5-mini',
  source: 'platform.openai.com/docs/api-reference/chat, November 2026',
  unknownModel: missing('gpt-5-mini'),
  refusals: REASONING,
  ends: { text: 'stop', calls: 'tool_calls' },
  callId: (number) => `call_${String(number).padStart(24, 'A')}`,
  cached: { prompt_tokens_details: { cached_tokens: 200 } },
  usage: 'own chunk',
  choice: { logprobs: null },
});

export const AZURE: Dialect = chatDialect({
  name: 'Azure OpenAI',
  model: 'azure-gpt-4o',
  source: 'learn.microsoft.com/azure/ai-foundry/openai/reference, November 2026',
  unknownModel: {
    status: 404,
    body: { error: { code: 'DeploymentNotFound', message: 'The API deployment for this resource does not exist.' } },
  },
  refusals: [
    ({ body }) =>
      body.stream_options !== undefined &&
      badRequest('Unrecognized request argument supplied: stream_options', { code: null }),
    (request) =>
      formatOf(request) === 'json_schema' &&
      badRequest('response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later', {
        code: 'BadRequest',
      }),
    (request) =>
      !hasTools(request) && request.body.tool_choice !== undefined && badRequest('tool_choice without tools'),
  ],
  ends: { text: 'stop', calls: 'tool_calls' },
  callId: (number) => `call_${String(number).padStart(24, 'B')}`,
  cached: { prompt_tokens_details: { cached_tokens: 200 } },
  usage: 'own chunk',
  hidesStreamedUsage: true,
  // The verdict on the prompt comes in a chunk without choices.
  before: [
    `data: ${JSON.stringify({ choices: [], created: 0, id: '', model: '', object: '', prompt_filter_results: [{ prompt_index: 0, content_filter_results: { hate: { filtered: false, severity: 'safe' } } }] })}\n\n`,
  ],
  choice: { content_filter_results: {}, logprobs: null },
});
