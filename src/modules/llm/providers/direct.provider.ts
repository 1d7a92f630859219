import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import type { LanguageModelV3, SharedV3ProviderOptions } from '@ai-sdk/provider';
import { listModels } from './list-models.js';
import { ProviderNotUsableError, type ModelProvider } from './model-provider.js';

interface Connection {
  apiKey: string;
  baseURL: string;
  fetch: typeof globalThis.fetch;
}
type ModelFactory = (id: string) => LanguageModelV3;

interface DirectVendor {
  baseUrl: string;
  /** Headers of its list of models. */
  headers(apiKey: string): Record<string, string>;
  connect(connection: Connection): ModelFactory | Promise<ModelFactory>;
  callOptions?: Record<string, Record<string, string | boolean>>;
  /** Whether its cache keeps only what a prompt marks. */
  marksCache?: boolean;
}

const bearer = (apiKey: string): Record<string, string> => ({ authorization: `Bearer ${apiKey}` });

/** Direct providers by prefix. The packages of all but the first two are installed by who needs them. */
const VENDORS: Readonly<Record<string, DirectVendor>> = {
  openai: {
    baseUrl: 'https://api.openai.com/v1',
    headers: bearer,
    connect: (connection) => {
      const openai = createOpenAI(connection);
      return (id) => openai.responses(id);
    },
    // Nothing is to be kept at OpenAI; the conversation is sent whole each time.
    callOptions: { openai: { store: false } },
  },
  anthropic: {
    baseUrl: 'https://api.anthropic.com/v1',
    headers: (apiKey) => ({ 'x-api-key': apiKey, 'anthropic-version': '2023-06-01' }),
    connect: (connection) => {
      const anthropic = createAnthropic(connection);
      return (id) => anthropic.languageModel(id);
    },
    marksCache: true,
  },
  google: {
    baseUrl: 'https://generativelanguage.googleapis.com/v1beta',
    headers: (apiKey) => ({ 'x-goog-api-key': apiKey }),
    connect: (connection) => loadOptional('@ai-sdk/google', 'createGoogleGenerativeAI', connection),
  },
  mistral: {
    baseUrl: 'https://api.mistral.ai/v1',
    headers: bearer,
    connect: (connection) => loadOptional('@ai-sdk/mistral', 'createMistral', connection),
  },
  groq: {
    baseUrl: 'https://api.groq.com/openai/v1',
    headers: bearer,
    connect: (connection) => loadOptional('@ai-sdk/groq', 'createGroq', connection),
  },
};

/** @throws ProviderNotUsableError when the package is not installed or of another generation. */
async function loadOptional(packageName: string, factory: string, connection: Connection): Promise<ModelFactory> {
  const loaded = (await import(packageName).catch(() => null)) as Record<string, unknown> | null;
  const create = loaded?.[factory];
  if (typeof create !== 'function') {
    throw new ProviderNotUsableError(`needs the package ${packageName} (its 3.x line), which is not installed`);
  }
  const provider = (create as (settings: Connection) => { languageModel(id: string): LanguageModelV3 })(connection);
  return (id) => {
    const model = provider.languageModel(id);
    if (model.specificationVersion !== 'v3') {
      throw new ProviderNotUsableError(`needs the 3.x line of the package ${packageName}; another one is installed`);
    }
    return model;
  };
}

/** A vendor's own endpoint, used with the vendor's own key. */
export class DirectProvider implements ModelProvider {
  private readonly vendor: DirectVendor;
  private readonly connection: Connection;
  private factory: Promise<ModelFactory> | undefined;

  constructor(
    readonly name: string,
    settings: { readonly apiKey: string; readonly baseUrl: string | null },
    fetch: typeof globalThis.fetch,
  ) {
    const vendor = VENDORS[name];
    if (!vendor) throw new Error(`There is no direct provider ${name}.`);
    this.vendor = vendor;
    this.connection = {
      apiKey: settings.apiKey,
      baseURL: settings.baseUrl?.replace(/\/+$/, '') ?? vendor.baseUrl,
      fetch,
    };
  }

  async model(id: string): Promise<LanguageModelV3> {
    this.factory ??= Promise.resolve(this.vendor.connect(this.connection));
    return (await this.factory)(id);
  }

  callOptionsFor(): SharedV3ProviderOptions {
    return this.vendor.callOptions ?? {};
  }

  marksCache(): boolean {
    return this.vendor.marksCache === true;
  }

  list(signal: AbortSignal): Promise<string[]> {
    const { apiKey, baseURL, fetch } = this.connection;
    return listModels(fetch, `${baseURL}/models`, this.vendor.headers(apiKey), signal);
  }
}
