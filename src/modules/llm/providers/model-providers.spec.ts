import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { AppConfig } from '../../../config/index.js';
import { Clock } from '../../../platform/clock/index.js';
import { CompatibleProvider } from './compatible.provider.js';
import { ModelProviders } from './model-providers.js';

const GATEWAY = { LLM_BASE_URL: 'http://gateway.test/v1' };
const OPENAI = { OPENAI_API_KEY: 'sk-openai-12345' };
const OLLAMA = { OLLAMA_BASE_URL: 'http://ollama.test:11434' };

function find(env: Record<string, string>, model: string): string | null {
  const found = new ModelProviders(AppConfig.from(env), new Clock()).find(model);
  return found && `${found.provider.name} ${found.id}`;
}

describe('the address of a model', () => {
  it.each<[Record<string, string>, string, string | null]>([
    // The scripts are always there, and only they.
    [{}, 'script/demo', 'script demo'],
    [GATEWAY, 'script/echo', 'script echo'],
    [GATEWAY, 'script/unknown', null],
    [GATEWAY, 'script/constructor', null],
    // A vendor's prefix counts only with its key.
    [OPENAI, 'openai/gpt-5', 'openai gpt-5'],
    [{ ...GATEWAY, ...OPENAI }, 'openai/gpt-5', 'openai gpt-5'],
    [GATEWAY, 'openai/gpt-5', 'gateway openai/gpt-5'],
    [{ ...GATEWAY, ...OPENAI }, 'anthropic/claude', 'gateway anthropic/claude'],
    [OPENAI, 'openai/ft:gpt/x', 'openai ft:gpt/x'],
    [{ MISTRAL_API_KEY: 'mistral-key-1' }, 'mistral/large', 'mistral large'],
    // The gateway can be forced, and has everything else.
    [{ ...GATEWAY, ...OPENAI }, 'gateway/openai/gpt-5', 'gateway openai/gpt-5'],
    [GATEWAY, 'gateway/gateway/x', 'gateway gateway/x'],
    [GATEWAY, 'llama3', 'gateway llama3'],
    [GATEWAY, 'meta/llama/3', 'gateway meta/llama/3'],
    [GATEWAY, '/x', 'gateway /x'],
    // Ollama has a prefix where its address is set, and stands in for a gateway.
    [{ ...GATEWAY, ...OLLAMA }, 'ollama/llama3:8b', 'ollama llama3:8b'],
    [{ ...GATEWAY, ...OLLAMA }, 'llama3', 'gateway llama3'],
    [GATEWAY, 'ollama/llama3', 'gateway ollama/llama3'],
    [OLLAMA, 'llama3', 'ollama llama3'],
    [{ ...OLLAMA, ...OPENAI }, 'llama3', 'ollama llama3'],
    // Nobody to ask.
    [{}, 'llama3', null],
    [{}, 'gateway/llama3', null],
    [OPENAI, 'llama3', null],
    [OPENAI, 'openai/', null],
    [GATEWAY, '', null],
    [GATEWAY, 'gateway/', null],
  ])('with %j, %s', (env, model, expected) => {
    expect(find(env, model)).toBe(expected);
  });
});

describe('Ollama on this machine', () => {
  afterEach(() => void jest.restoreAllMocks());
  const listing = (answer: () => Promise<string[]>): ReturnType<typeof jest.spyOn> =>
    jest.spyOn(CompatibleProvider.prototype, 'list').mockImplementation(answer);

  it('serves every id once it has answered, where nothing is configured', async () => {
    listing(() => Promise.resolve(['llama3']));
    const providers = new ModelProviders(AppConfig.from({}), new Clock());
    expect(providers.find('llama3')).toBeNull();
    expect(await providers.resolve('llama3')).toMatchObject({ provider: { name: 'ollama' }, id: 'llama3' });
    expect(providers.find('ollama/llama3')).toMatchObject({ provider: { name: 'ollama' }, id: 'llama3' });
    expect(await providers.offered()).toEqual(['ollama/llama3']);
    expect(providers.anyConfigured).toBe(false);
  });

  it('is not there while it does not answer', async () => {
    listing(() => Promise.reject(new Error('refused')));
    const providers = new ModelProviders(AppConfig.from({}), new Clock());
    expect(await providers.resolve('llama3')).toBeNull();
    expect(await providers.offered()).toEqual([]);
  });

  it('is not looked for where another provider is configured, nor for a script', async () => {
    const list = listing(() => Promise.resolve(['llama3']));
    await new ModelProviders(AppConfig.from(OPENAI), new Clock()).resolve('llama3');
    await new ModelProviders(AppConfig.from({}), new Clock()).resolve('script/demo');
    expect(list).not.toHaveBeenCalled();
  });

  it('is looked for in the background when the module starts', () => {
    const list = listing(() => new Promise(() => undefined));
    new ModelProviders(AppConfig.from({}), new Clock()).onModuleInit();
    expect(list).toHaveBeenCalledTimes(1);
  });
});
