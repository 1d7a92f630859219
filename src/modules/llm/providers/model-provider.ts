import type { LanguageModelV3, SharedV3ProviderOptions } from '@ai-sdk/provider';
import type { RequestForm } from '../request-form.js';

/** How a request differs on the wire, beyond what every provider takes. */
export interface WireSettings {
  readonly maxTokensName: RequestForm['maxTokensName'];
  readonly streamOptions: boolean;
  readonly marksCache: boolean;
}

/** Somewhere models can be asked. What one provider suffers (overload, a cool-down) all its models suffer. */
export interface ModelProvider {
  /** The prefix it is addressed by: `gateway`, `ollama`, `openai`, `script`, … */
  readonly name: string;
  /** Whether it is an OpenAI-compatible endpoint, whose requests can be changed in every parameter. */
  readonly isCompatible?: boolean;
  /** Whether its models take a schema for their answer in a call that offers tools too, until one refuses it; absent is no. */
  readonly takesSchemaBesideTools?: boolean;
  /** Settings that its calls carry beside the request, if any. */
  callOptionsFor?(settings: WireSettings): SharedV3ProviderOptions;
  /** Whether prompts for the model `id` are marked for its cache; absent is no. */
  marksCache?(id: string): boolean;
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
