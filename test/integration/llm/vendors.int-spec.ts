import { LLMock } from '@copilotkit/aimock';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createModelFetch } from '../../../src/modules/llm/model-fetch.js';
import { AnswerDraft } from '../../../src/modules/llm/answer-draft.js';
import { DirectProvider } from '../../../src/modules/llm/providers/direct.provider.js';
import { callOf, createLlm, PROMPT } from './llm-setup.js';

const TOOL = {
  name: 'get_weather',
  description: 'Tells the weather',
  inputSchema: { type: 'object', properties: { city: { type: 'string' } } },
};
const SCHEMA = {
  name: 'verdict',
  schema: { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'], additionalProperties: false },
};
const ask = (text: string): typeof PROMPT => [{ role: 'user', content: [{ type: 'text', text }] }];

describe.each(['true', 'false'])('the vendors of models (streaming: %s)', (streaming) => {
  let mock: LLMock;
  let service: ReturnType<typeof createLlm>['service'];
  beforeAll(async () => {
    mock = new LLMock({ port: 0 });
    mock.onMessage('hello', {
      content: 'Hi there',
      usage: { prompt_tokens: 100, completion_tokens: 7, input_tokens: 100, output_tokens: 7 },
    });
    mock.onMessage('weather', { toolCalls: [{ id: 'call_1', name: 'get_weather', arguments: '{"city":"Berlin"}' }] });
    mock.onMessage('verdict', { content: '{"ok":true}' });
    await mock.start();
    service = createLlm({
      LLM_STREAMING: streaming,
      LLM_BASE_URL: `${mock.url}/v1`,
      OPENAI_API_KEY: 'sk-openai-12345',
      OPENAI_BASE_URL: `${mock.url}/v1`,
      ANTHROPIC_API_KEY: 'sk-ant-12345',
      ANTHROPIC_BASE_URL: `${mock.url}/v1`,
    }).service;
  });
  afterAll(() => mock.stop());

  describe.each(['gpt-4o', 'openai/gpt-4o', 'anthropic/claude-3-haiku-20240307'])('%s', (model) => {
    it('says something, counted and priced', async () => {
      const answer = await service.call([model], callOf({ prompt: ask('hello'), maxOutputTokens: 100 }));
      expect(answer).toMatchObject({ model, text: 'Hi there', finishReason: 'stop', toolCalls: [] });
      expect(answer.usage).toEqual({ inputTokens: 100, outputTokens: 7, estimated: false });
      expect(answer.costUsd).toBeGreaterThan(0);
    });

    it('calls a tool and takes its result', async () => {
      const { toolCalls, finishReason } = await service.call(
        [model],
        callOf({ prompt: ask('weather'), tools: [TOOL] }),
      );
      expect(finishReason).toBe('tool-calls');
      expect(toolCalls).toMatchObject([{ name: 'get_weather' }]);
      expect(JSON.parse(toolCalls[0]!.arguments)).toEqual({ city: 'Berlin' });

      mock.onToolResult(toolCalls[0]!.id, { content: 'Rain' });
      const after = await service.call(
        [model],
        callOf({
          tools: [TOOL],
          prompt: [
            ...ask('weather'),
            {
              role: 'assistant',
              content: [
                { type: 'tool-call', toolCallId: toolCalls[0]!.id, toolName: 'get_weather', input: { city: 'Berlin' } },
              ],
            },
            {
              role: 'tool',
              content: [
                {
                  type: 'tool-result',
                  toolCallId: toolCalls[0]!.id,
                  toolName: 'get_weather',
                  output: { type: 'text', value: 'wet' },
                },
              ],
            },
          ],
        }),
      );
      expect(after).toMatchObject({ finishReason: expect.stringMatching(/stop|tool-calls/) });
    });

    it('answers in a schema', async () => {
      const { text } = await service.call([model], callOf({ prompt: ask('verdict'), responseSchema: SCHEMA }));
      expect(JSON.parse(text)).toEqual({ ok: true });
    });

    it('is refused like any other', async () => {
      mock.nextRequestError(401, { message: 'bad key' });
      await expect(service.call([model], callOf({ prompt: ask('hello') }))).rejects.toMatchObject({ kind: 'refused' });
    });
  });

  it('OpenAI’s own endpoint is asked for responses, of which it keeps none', async () => {
    const real = createModelFetch({ connect: 5_000, firstByte: 5_000, idle: 5_000 });
    let sent: unknown;
    const provider = new DirectProvider('openai', { apiKey: 'sk-openai-12345', baseUrl: null }, (url, init) => {
      sent = JSON.parse(init?.body as string);
      return real((url as string).replace('https://api.openai.com', mock.url), init);
    });
    const model = await provider.model('gpt-4o');
    const { stream } = await model.doStream({
      prompt: ask('hello'),
      providerOptions: provider.callOptionsFor(),
    });
    const draft = new AnswerDraft(undefined);
    for await (const part of stream) draft.add(part);
    expect(draft.close()).toMatchObject({ text: 'Hi there', finishReason: 'stop' });
    expect(mock.getLastRequest()?.path).toBe('/v1/responses');
    expect(sent).toMatchObject({ store: false });
  });
});
