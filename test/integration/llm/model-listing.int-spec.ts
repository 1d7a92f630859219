import { Logger } from '@nestjs/common';
import { afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { createLlm } from './llm-setup.js';
import { fails, ModelServer } from '../../support/model-server.js';

const listOf = (...ids: string[]): ReturnType<typeof fails> =>
  fails(200, { object: 'list', data: ids.map((id) => ({ id, object: 'model' })) });

describe('the models that providers offer', () => {
  let server: ModelServer;
  beforeAll(() => void jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined));
  beforeEach(async () => {
    server = await ModelServer.start();
  });
  afterEach(() => server.stop());

  it('the first one of the gateway is the default, and one that cannot chat is not', async () => {
    server.willAnswer(listOf('text-embedding-3-small', 'big', 'small'));
    const { service } = createLlm({ LLM_BASE_URL: server.url, LLM_API_KEY: 'gateway-key-1' });
    expect(await service.defaultModel()).toBe('big');
    expect(server.asked[0]).toMatchObject({ path: '/v1/models', headers: { authorization: 'Bearer gateway-key-1' } });
    expect(await service.available()).toEqual(['big', 'small', 'script/demo', 'script/echo']);
  });

  it('DEFAULT_CHAT_MODEL goes before all, and nobody is asked', async () => {
    const { service } = createLlm({ LLM_BASE_URL: server.url, DEFAULT_CHAT_MODEL: 'mine' });
    expect(await service.defaultModel()).toBe('mine');
    expect(server.asked).toHaveLength(0);
  });

  it('are addressed so that their address leads back to their provider', async () => {
    server.willAnswer(listOf('openai/gpt', 'script/demo', 'plain', 'gateway/x'));
    const { service } = createLlm({
      LLM_BASE_URL: server.url,
      OPENAI_API_KEY: 'sk-openai-12345',
      OPENAI_BASE_URL: 'http://127.0.0.1:9/v1',
    });
    expect((await service.available()).slice(0, 4)).toEqual([
      'gateway/openai/gpt',
      'gateway/script/demo',
      'plain',
      'gateway/gateway/x',
    ]);
  });

  it('of OpenAI come newest first', async () => {
    server.willAnswer(
      fails(200, {
        data: [
          { id: 'gpt-old', created: 1 },
          { id: 'whisper-1', created: 5 },
          { id: 'gpt-new', created: 3 },
        ],
      }),
    );
    const { service } = createLlm({
      OPENAI_API_KEY: 'sk-openai-12345',
      OPENAI_BASE_URL: server.url,
      NODE_ENV: 'production',
    });
    expect(await service.available()).toEqual(['openai/gpt-new', 'openai/gpt-old']);
    expect(await service.defaultModel()).toBe('openai/gpt-new');
  });

  it('of Anthropic are asked for with its own headers', async () => {
    server.willAnswer(listOf('claude-x'));
    const { service } = createLlm({ ANTHROPIC_API_KEY: 'sk-ant-12345', ANTHROPIC_BASE_URL: server.url });
    expect(await service.defaultModel()).toBe('anthropic/claude-x');
    expect(server.asked[0]?.headers).toMatchObject({ 'x-api-key': 'sk-ant-12345', 'anthropic-version': '2023-06-01' });
  });

  it('are read once for many who ask at the same time, and again after a minute', async () => {
    server.willAnswer(listOf('a'));
    const { service, clock } = createLlm({ LLM_BASE_URL: server.url });
    await Promise.all(Array.from({ length: 10 }, () => service.defaultModel()));
    await service.defaultModel();
    expect(server.asked).toHaveLength(1);
    clock.ms += 60_000;
    await service.defaultModel();
    await server.heard(2);
  });

  it('stay known while the provider does not list them', async () => {
    server.willAnswer(listOf('a'), fails(500));
    const { service, clock } = createLlm({ LLM_BASE_URL: server.url });
    await service.defaultModel();
    clock.ms += 60_000;
    expect(await service.defaultModel()).toBe('a');
    await server.heard(2);
    expect(await service.defaultModel()).toBe('a');
  });

  it.each<[string, ReturnType<typeof fails>]>([
    ['an error', fails(500)],
    ['HTML', fails(200, '<html>', { 'content-type': 'text/html' })],
    ['something else', fails(200, { data: 'none' })],
    ['null', fails(200, 'null')],
    ['nothing usable', fails(200, { data: [null, 1, { id: 7 }, { id: '' }, { id: 'x'.repeat(300) }] })],
    ['50 MB', (response) => void response.writeHead(200).end('['.repeat(50 << 20))],
  ])('%s in place of a list leaves the provider out', async (_, answer) => {
    server.willAnswer(answer);
    const { service } = createLlm({ LLM_BASE_URL: server.url });
    expect(await service.defaultModel()).toBeNull();
    expect(await service.available()).toEqual(['script/demo', 'script/echo']);
  });

  it('without any provider there is the demo, but not in production', async () => {
    expect(await createLlm({ OLLAMA_BASE_URL: 'http://127.0.0.1:9' }).service.defaultModel()).toBeNull();
    const production = createLlm({ NODE_ENV: 'production', LLM_BASE_URL: 'http://127.0.0.1:9' }).service;
    expect([await production.defaultModel(), await production.available()]).toEqual([null, []]);
  });
});
