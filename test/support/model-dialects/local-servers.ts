import { badRequest, chatDialect, formatOf, hasTools } from './chat-dialect.js';
import type { Dialect } from './dialect.js';

export const OLLAMA: Dialect = chatDialect({
  name: 'Ollama',
  model: 'ollama/qwen3:8b',
  source: 'docs.ollama.com/api/openai-compatibility, November 2026',
  unknownModel: {
    status: 404,
    body: { error: { message: "model 'qwen3:8b' not found", type: 'not_found_error', param: null, code: null } },
  },
  // It drops what it does not know.
  refusals: [],
  ends: { text: 'stop', calls: 'tool_calls' },
  callId: (number) => `call_${String(number).padStart(8, 'o')}`,
  thought: (reasoning) => ({ content: '', reasoning }),
  wholeCalls: true,
  usage: 'own chunk',
});

export const VLLM: Dialect = chatDialect({
  name: 'vLLM',
  model: 'Qwen/Qwen3-8B',
  source:
    'docs.vllm.ai: serving/openai_compatible_server, features/reasoning_outputs, features/tool_calling, November 2026',
  unknownModel: {
    status: 404,
    body: {
      error: { message: 'The model `Qwen/Qwen3-8B` does not exist.', type: 'NotFoundError', param: 'model', code: 404 },
    },
  },
  refusals: [
    ({ body }) =>
      Number(body.max_tokens ?? 1) > 2_048 && {
        status: 400,
        body: {
          object: 'error',
          message: `'max_tokens' or 'max_completion_tokens' is too large: ${Number(body.max_tokens)}. This model's maximum context length is 4096 tokens and your request has 2048 input tokens.`,
          type: 'BadRequestError',
          param: null,
          code: 400,
        },
      },
  ],
  ends: { text: 'stop', calls: 'tool_calls' },
  callId: (number) => `chatcmpl-tool-${String(number).padStart(32, '0')}`,
  thought: (text) => ({ reasoning: text, reasoning_content: text }),
  usage: 'own chunk',
  choice: { logprobs: null },
  last: { stop_reason: null },
});

export const LLAMA_CPP: Dialect = chatDialect({
  name: "llama.cpp's server",
  model: 'llama-cpp-gpt-oss-20b',
  source: 'github.com/ggml-org/llama.cpp: tools/server/README.md and docs/function-calling.md, November 2026',
  unknownModel: badRequest('model not found', { code: 400 }),
  refusals: [
    (request) =>
      hasTools(request) &&
      formatOf(request) !== undefined &&
      badRequest('Cannot use custom grammar constraints with tools.', { code: 400 }),
    (request) =>
      /\\\\[dws]|\(\?[=!]/.test(JSON.stringify(request.body.response_format ?? '')) &&
      badRequest('failed to parse grammar', { code: 400 }),
  ],
  ends: { text: 'stop', calls: 'tool_calls' },
  callId: (number) => String(number).padStart(32, 'k'),
  thought: (text) => ({ content: null, reasoning_content: text }),
  usage: (usage) => ({ usage, timings: { prompt_n: 1_200, predicted_n: 90, predicted_per_second: 41.5 } }),
});

export const TGI: Dialect = chatDialect({
  name: 'TGI',
  model: 'tgi',
  source: 'huggingface.co/docs/text-generation-inference: messages_api, conceptual/guidance, November 2026',
  unknownModel: { status: 404, body: { error: 'Model not found', error_type: 'validation' } },
  refusals: [
    (request) =>
      formatOf(request) === 'json_schema' && {
        status: 422,
        body: 'Failed to deserialize the JSON body into the target type: response_format: unknown variant `json_schema`, expected one of `json`, `json_object`, `regex` at line 1 column 812',
      },
    (request) =>
      hasTools(request) &&
      formatOf(request) !== undefined && {
        status: 422,
        body: { error: 'Input validation error: Grammar and tools are mutually exclusive', error_type: 'validation' },
      },
    ({ body }) =>
      body.temperature === 0 && {
        status: 422,
        body: { error: 'Input validation error: `temperature` must be strictly positive', error_type: 'validation' },
      },
  ],
  ends: { text: 'eos_token', calls: 'tool_calls' },
  callId: (number) => String(number),
  call: () => ({}),
  argumentsAsObject: true,
  usage: 'own chunk',
  choice: { logprobs: null },
});

export const LM_STUDIO: Dialect = chatDialect({
  name: 'LM Studio',
  model: 'lmstudio-community/deepseek-r1-distill',
  source: 'lmstudio.ai/docs/developer/openai-compat: structured-output, tools, November 2026',
  unknownModel: { status: 404, body: { error: 'Model "lmstudio-community/deepseek-r1-distill" not found' } },
  refusals: [
    (request) =>
      ![undefined, 'json_schema', 'text'].includes(formatOf(request) as string | undefined) && {
        status: 400,
        body: { error: "'response_format.type' must be 'json_schema' or 'text'" },
      },
  ],
  ends: { text: 'stop', calls: 'tool_calls' },
  callId: (number) => String(100_000_000 + number),
  thoughtInText: (text) => `<think>\n${text}\n</think>\n\n`,
  usage: 'own chunk',
  choice: { logprobs: null },
});
