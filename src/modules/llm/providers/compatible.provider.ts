import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import type { LanguageModelV3 } from '@ai-sdk/provider';
import { listModels } from './list-models.js';
import type { ModelProvider } from './model-provider.js';

/** An OpenAI-compatible endpoint: a gateway, or Ollama. */
export class CompatibleProvider implements ModelProvider {
  private readonly provider;

  constructor(
    readonly name: string,
    private readonly baseUrl: string,
    private readonly apiKey: string | null,
    private readonly fetch: typeof globalThis.fetch,
  ) {
    this.provider = createOpenAICompatible({
      name,
      baseURL: baseUrl,
      ...(apiKey !== null && { apiKey }),
      includeUsage: true,
      supportsStructuredOutputs: true,
      fetch,
    });
  }

  model(id: string): LanguageModelV3 {
    return this.provider.chatModel(id);
  }

  list(signal: AbortSignal): Promise<string[]> {
    const headers: Record<string, string> = this.apiKey === null ? {} : { authorization: `Bearer ${this.apiKey}` };
    return listModels(this.fetch, `${this.baseUrl}/models`, headers, signal);
  }
}
