import type { LanguageModelV3Prompt, LanguageModelV3ToolChoice, SharedV3ProviderMetadata } from '@ai-sdk/provider';
import type { FinishReason } from './finish-reason.js';

/** A tool as a model is shown it. `inputSchema` is JSON Schema. */
export interface OfferedTool {
  name: string;
  description: string;
  inputSchema: Record<string, unknown>;
}

/** The form that an answer has to have. `schema` is JSON Schema. */
export interface ResponseSchema {
  name: string;
  schema: Record<string, unknown>;
  /** The prompt tells the schema already, so that it need not be written into it again. */
  inPrompt?: boolean;
}

/** One request to one model. */
export interface ModelCall {
  prompt: LanguageModelV3Prompt;
  tools?: readonly OfferedTool[];
  toolChoice?: LanguageModelV3ToolChoice;
  /**
   * Ask for JSON of this schema: with the provider's own support where it has it, else written into the prompt. Beside tools
   * only a provider that is known to take both is held to it.
   */
  responseSchema?: ResponseSchema;
  temperature?: number;
  /** Tokens. */
  maxOutputTokens?: number;
  /** Aborts the request; the call then rejects with `signal.reason`. */
  signal: AbortSignal;
  /** Text as it arrives. Never called after the call has settled; what it throws ends the call. */
  onText?: (delta: string) => void;
  /**
   * Called before each model of the chain is asked, and after what the ones before it consumed was told; what it throws ends
   * the call. Not for a model that is passed over, since it is not configured or cools down. Called again, with the request
   * as it is then, before a model is asked without the limit of its answer that it refused.
   */
  beforeModel?: (model: string, request?: { maxOutputTokens: undefined }) => Promise<void> | void;
  /**
   * What an attempt consumed that brought no answer: a model of the chain that failed after it had begun to answer, or an
   * aborted call; `text` is what it had said. Called before the call settles, at most once for each model.
   */
  onLost?: (lost: { model: string; usage: ModelUsage; costUsd: number | null; text: string }) => void;
}

export interface ModelToolCall {
  /** Unique in its answer. */
  id: string;
  name: string;
  /** As the model wrote it: meant to be JSON, perhaps not. */
  arguments: string;
  /** The provider's own; some models demand it back, as `providerOptions` of the call's part in the next prompt. */
  metadata?: SharedV3ProviderMetadata;
}

export interface ModelUsage {
  /** Those that a cache held among them. */
  inputTokens: number;
  outputTokens: number;
  /** Input tokens that the provider read from its cache; absent is none, or not told. */
  cachedInputTokens?: number;
  /** Input tokens that it wrote to its cache and charges for. */
  cacheWriteTokens?: number;
  /** True when the provider reported none and the numbers are ours. */
  estimated: boolean;
}

/** One part of an answer, in its order; `call` is a position among its tool calls. */
export type AnswerPart =
  | { type: 'text' | 'reasoning'; text: string; metadata?: SharedV3ProviderMetadata }
  | { type: 'tool-call'; call: number };

/** What a provider wants to see again with its answer, beside text and tool calls: thoughts, signatures, sealed items. */
export interface Returned {
  /** The parts of the answer with the provider's own data, where there is such data. */
  parts?: AnswerPart[];
  /** Provider options of the whole message. */
  message?: SharedV3ProviderMetadata;
}

export interface ModelAnswer {
  /** The model that answered, as it was addressed. */
  model: string;
  /** As `storableText` leaves it. */
  text: string;
  toolCalls: ModelToolCall[];
  /** Anything but `stop` and `tool-calls` means the answer is not whole. `tool-calls` exactly when there are some. */
  finishReason: FinishReason;
  /** The endpoint's own name for an end that leaves the answer in pieces, where it gave one. */
  finishName?: string;
  usage: ModelUsage;
  /** USD; null when the model's price is not known. */
  costUsd: number | null;
  /** For `assistantMessage`; understood by the model that answered, and by no other. */
  returned?: Returned;
}

export type ModelFailureKind =
  'cooling' | 'rate_limited' | 'unavailable' | 'timeout' | 'refused' | 'malformed' | 'not_configured';

/** A model call that failed on every model of its chain. `message` is fit for callers: no key, no body of an answer. */
export class ModelCallError extends Error {
  override readonly name = 'ModelCallError';
  constructor(
    readonly kind: ModelFailureKind,
    message: string,
    readonly details: {
      model: string;
      provider: string;
      statusCode?: number;
      /**
       * When the first provider of the chain may be asked again (epoch milliseconds). Set exactly when *every* model of
       * the chain is cooling, be it since before or by this call: the caller should wait instead of counting a failure.
       * The kind is then `cooling` or `rate_limited`.
       */
      retryAt?: number;
      /** What failed calls of the chain consumed, where they had begun to answer. */
      usage?: ModelUsage;
      /** What the model sent that `message` tells of, where anything came: cut, and without the service's own keys. */
      sent?: string;
    },
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}
