import type { LanguageModelV3 } from '@ai-sdk/provider';

/** Somewhere models can be asked. What one provider suffers (overload, a cool-down) all its models suffer. */
export interface ModelProvider {
  /** The prefix it is addressed by: `gateway`, `ollama`, `openai`, `script`, … */
  readonly name: string;
  /** Whether its models take a schema for their answer in a call that offers tools too; absent is no. */
  readonly takesSchemaBesideTools?: boolean;
  /** Settings that its calls carry beside the request, if any. */
  readonly callOptions?: Readonly<Record<string, Record<string, string | boolean>>>;
  /**
   * The model `id` of this provider; no request is made.
   * @throws ProviderNotUsableError when the provider's package is missing.
   */
  model(id: string): LanguageModelV3 | Promise<LanguageModelV3>;
  /** The ids it offers now; rejects when it does not answer. */
  list(signal: AbortSignal): Promise<string[]>;
}

/** A provider that is configured but cannot work in this installation; `message` says what to do. */
export class ProviderNotUsableError extends Error {
  override readonly name = 'ProviderNotUsableError';
}
