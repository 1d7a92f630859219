import type { ModelAnswer, ModelCall } from './model-call.js';

/** What decides how much a call can cost. */
export type ModelRequest = Pick<ModelCall, 'prompt' | 'tools' | 'responseSchema' | 'maxOutputTokens'>;

/** The models this service can reach. */
export abstract class LlmService {
  /**
   * Asks the models of `chain` in order until one answers: the next one is tried only while no text has reached
   * `onText`. Retries nothing by itself, save that an endpoint which refuses an optional parameter is asked without it.
   * @throws ModelCallError when no model answered; `call.signal.reason` when aborted; what `onText` threw.
   */
  abstract call(chain: readonly string[], call: ModelCall): Promise<ModelAnswer>;
  /** The model of agents that name none, or null when no provider is configured. */
  abstract defaultModel(): Promise<string | null>;
  /** Whether `model` names a configured provider. */
  abstract isConfigured(model: string): boolean;
  /** Whether the price of `model` is known. */
  abstract isPriced(model: string): boolean;
  /**
   * USD that a call would cost at the most: its prompt at two bytes a token, and all of `maxOutputTokens`, or where that is
   * not sent, the longest answer of the model; null when the price is not known, or that length.
   */
  abstract worstCaseCostUsd(model: string, call: ModelRequest): number | null;
  /** Models the providers offer now, for people and tools; one that does not answer is left out, scripts are in production. */
  abstract available(): Promise<string[]>;
}
