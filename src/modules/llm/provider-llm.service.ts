import type { LanguageModelV3, LanguageModelV3CallOptions } from '@ai-sdk/provider';
import { Injectable, Logger } from '@nestjs/common';
import { AppConfig } from '../../config/index.js';
import { Clock } from '../../platform/clock/index.js';
import { AnswerDraft } from './answer-draft.js';
import { LlmService, type ModelRequest } from './llm.service.js';
import { ModelCallError, type ModelAnswer, type ModelCall, type ModelUsage } from './model-call.js';
import { CallDeadlinePassedError, refusesSchema, toFailure, type ModelFailure } from './model-failure.js';
import { tariffOf, type Tariff } from './model-prices.js';
import { NEVER_COOLED, ProviderCooldown } from './provider-cooldown.js';
import { ModelProviders, type ModelAddress } from './providers/model-providers.js';
import { withSchemaInPrompt } from './response-schema.js';
import { estimatePromptTokens, mostPromptTokens } from './token-estimate.js';

/** What an answer is taken to hold at the most when its caller does not say. */
const ASSUMED_OUTPUT_TOKENS = 16_384;
/** Aborts what a call may have left running; made once, since errors are slow to make. */
const CALL_OVER = new Error('the call is over');
const MOST_REMEMBERED_MODELS = 1_000;

/** One model of a chain that did not answer. */
interface FailedModel extends ModelFailure {
  model: string;
  provider: string;
  /** Epoch milliseconds; present when its provider is cooling, before or since. */
  retryAt?: number;
}

/** Carries what a caller's `onText` threw past the sorting of providers' faults. */
class ListenerFailedError extends Error {
  constructor(cause: unknown) {
    super('onText threw', { cause });
  }
}

/** Asks models through the AI SDK's providers. */
@Injectable()
export class ProviderLlmService extends LlmService {
  private readonly logger = new Logger('LlmService');
  private readonly settings: AppConfig['models'];
  private readonly isProduction: boolean;
  private readonly secrets: string[];
  /** Models whose endpoint refused a schema: it goes into their prompt. */
  private readonly withoutSchemas = new Set<string>();
  /** Models made before: making one costs as much as half a call, since its validators are built anew. */
  private readonly made = new Map<string, LanguageModelV3>();
  /** Tariffs found before: looking one up takes half a millisecond. */
  private readonly tariffs = new Map<string, Tariff | null>();

  constructor(
    config: AppConfig,
    private readonly providers: ModelProviders,
    private readonly cooldown: ProviderCooldown,
    private readonly clock: Clock,
  ) {
    super();
    this.settings = config.models;
    this.isProduction = config.production;
    this.secrets = [
      config.models.gateway?.apiKey,
      ...Object.values(config.models.direct).map(({ apiKey }) => apiKey),
    ].filter((secret): secret is string => typeof secret === 'string');
  }

  async call(chain: readonly string[], call: ModelCall): Promise<ModelAnswer> {
    call.signal.throwIfAborted();
    const models = [...new Set(chain)];
    const failed: FailedModel[] = [];
    const lost: ModelUsage[] = [];
    let isHeard = false;
    let isSettled = false;
    const heard: ModelCall = {
      ...call,
      ...(call.onText && {
        onText: (delta: string) => {
          if (isSettled) return;
          isHeard = true;
          try {
            call.onText?.(delta);
          } catch (error) {
            throw new ListenerFailedError(error);
          }
        },
      }),
      onLost: (loss) => {
        lost.push(loss.usage);
        call.onLost?.(loss);
      },
    };
    try {
      for (const model of models) {
        const outcome = await this.ask(model, heard);
        if ('text' in outcome) return outcome;
        failed.push(outcome);
        this.report(outcome);
        if (isHeard) break;
      }
    } finally {
      isSettled = true;
    }
    call.signal.throwIfAborted();
    throw conclude(models, failed, lost);
  }

  async defaultModel(): Promise<string | null> {
    if (this.settings.defaultModel !== null) return this.settings.defaultModel;
    const [first] = await this.providers.offered();
    if (first !== undefined) return first;
    return this.providers.anyConfigured || this.isProduction ? null : 'script/demo';
  }

  isConfigured(model: string): boolean {
    return this.providers.find(model) !== null;
  }

  isPriced(model: string): boolean {
    return this.tariff(model) !== null;
  }

  worstCaseCostUsd(model: string, call: ModelRequest): number | null {
    const outputTokens = call.maxOutputTokens ?? ASSUMED_OUTPUT_TOKENS;
    return this.tariff(model)?.({ inputTokens: mostPromptTokens(call), outputTokens }) ?? null;
  }

  async available(): Promise<string[]> {
    const offered = await this.providers.offered();
    // A model that may name models must not find the demo's among those that judge real work.
    return this.isProduction ? offered : [...offered, ...(await this.providers.scripted())];
  }

  private tariff(model: string): Tariff | null {
    const address = this.providers.find(model);
    if (address?.provider.name === 'script') return () => 0;
    let tariff = this.tariffs.get(model);
    if (tariff === undefined) {
      const id = address?.id ?? model;
      tariff = tariffOf(model, id, tableId(address, id), this.settings.prices);
      if (this.tariffs.size >= MOST_REMEMBERED_MODELS) this.tariffs.clear();
      this.tariffs.set(model, tariff);
    }
    return tariff;
  }

  /** One model of the chain: its answer, or why there is none. Throws the reason of an abort and what `onText` threw. */
  private async ask(model: string, call: ModelCall): Promise<ModelAnswer | FailedModel> {
    const address = await this.providers.resolve(model);
    call.signal.throwIfAborted();
    if (!address) {
      const prefix = model.includes('/') ? model.split('/', 1)[0] : undefined;
      return { kind: 'not_configured', complaint: 'is not configured', model, provider: prefix ?? 'gateway' };
    }
    const provider = address.provider.name;
    // Scripts cannot be overloaded, and the shared state need not be asked.
    const seen = provider === 'script' ? NEVER_COOLED : await this.cooldown.look(provider);
    if (seen.retryAt !== null) {
      const complaint = `is cooling down until ${new Date(seen.retryAt).toISOString()}`;
      return { kind: 'cooling', complaint, model, provider, retryAt: seen.retryAt };
    }
    await call.beforeModel?.(model);
    call.signal.throwIfAborted();
    try {
      const answer = await this.attempt(model, address, call);
      await this.cooldown.succeeded(provider, seen);
      return answer;
    } catch (error) {
      const failure = this.fail(error, model, provider, call);
      if (failure.coolForMs === undefined) return failure;
      return { ...failure, retryAt: await this.cooldown.failed(provider, seen, failure.coolForMs) };
    }
  }

  private fail(error: unknown, model: string, provider: string, call: ModelCall): FailedModel {
    call.signal.throwIfAborted();
    if (error instanceof ListenerFailedError) throw error.cause;
    return { ...toFailure(error, this.clock.now().getTime()), model, provider };
  }

  /** Asks once, and once more with the schema in the prompt if the endpoint refuses it otherwise. */
  private async attempt(model: string, address: ModelAddress, call: ModelCall): Promise<ModelAnswer> {
    const endpoint = endpointOf(address);
    if (!call.responseSchema || this.withoutSchemas.has(endpoint)) return this.exchange(model, address, call, false);
    try {
      return await this.exchange(model, address, call, true);
    } catch (error) {
      if (call.signal.aborted || !refusesSchema(error)) throw error;
      if (this.withoutSchemas.size >= MOST_REMEMBERED_MODELS) this.withoutSchemas.clear();
      this.withoutSchemas.add(endpoint);
      return this.exchange(model, address, call, false);
    }
  }

  /** One request. Whatever ends it, it leaves no connection, timer or listener behind. */
  private async exchange(
    model: string,
    address: ModelAddress,
    call: ModelCall,
    sendSchema: boolean,
  ): Promise<ModelAnswer> {
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(call.signal.reason);
    call.signal.addEventListener('abort', onAbort, { once: true });
    const timer = setTimeout(() => controller.abort(new CallDeadlinePassedError()), this.settings.deadlinesMs.total);
    const draft = new AnswerDraft(call.onText);
    const priced = (): { usage: ModelUsage; costUsd: number | null } => {
      const usage = draft.spent(() => estimatePromptTokens(call));
      return { usage, costUsd: this.tariff(model)?.(usage) ?? null };
    };
    try {
      const languageModel = await this.modelAt(address);
      const options = toOptions(address, call, sendSchema, controller.signal);
      await untilAborted(this.receive(languageModel, options, draft), controller.signal);
      return { model, ...draft.close(), ...priced() };
    } catch (error) {
      if (draft.hasBegun) call.onLost?.({ model, ...priced() });
      throw controller.signal.aborted ? controller.signal.reason : error;
    } finally {
      clearTimeout(timer);
      call.signal.removeEventListener('abort', onAbort);
      controller.abort(CALL_OVER);
    }
  }

  private async modelAt(address: ModelAddress): Promise<LanguageModelV3> {
    const endpoint = endpointOf(address);
    let model = this.made.get(endpoint);
    if (!model) {
      model = await address.provider.model(address.id);
      if (this.made.size >= MOST_REMEMBERED_MODELS) this.made.clear();
      this.made.set(endpoint, model);
    }
    return model;
  }

  private async receive(
    model: LanguageModelV3,
    options: LanguageModelV3CallOptions,
    draft: AnswerDraft,
  ): Promise<void> {
    if (!this.settings.streaming) {
      const answer = await model.doGenerate(options);
      return draft.addAll(answer.content, answer.finishReason, answer.usage);
    }
    const { stream } = await model.doStream(options);
    const reader = stream.getReader();
    try {
      while (!draft.isFinished) {
        const { done, value } = await reader.read();
        // Parts that arrive between the abort and the end of the stream are not the caller's any more.
        if (done || options.abortSignal?.aborted) return;
        draft.add(value);
      }
    } finally {
      reader.cancel().catch(() => undefined);
    }
  }

  private report({ provider, model, complaint, detail, kind }: FailedModel): void {
    if (kind === 'cooling') return;
    let said = (detail ?? '').slice(0, 500);
    for (const secret of this.secrets) said = said.replaceAll(secret, '[secret]');
    said = said.replace(/\b(?:sk|pk|key|gsk|xai|AIza)[-_][\w-]{6,}/g, '[secret]').replace(/[\r\n]+/g, ' ');
    this.logger.warn(`The model ${model} of the provider "${provider}" ${complaint}.${said && ` It said: ${said}`}`);
  }
}

function endpointOf({ provider, id }: ModelAddress): string {
  return `${provider.name} ${id}`;
}

/** The id under which the price table knows a model: that of a direct provider with its maker. */
function tableId(address: ModelAddress | null, id: string): string {
  const name = address?.provider.name;
  if (!name || name === 'gateway') return id;
  return `${name}/${id}`;
}

function toOptions(
  address: ModelAddress,
  call: ModelCall,
  sendSchema: boolean,
  abortSignal: AbortSignal,
): LanguageModelV3CallOptions {
  const schema = call.responseSchema;
  const enforced = sendSchema && (!call.tools?.length || address.provider.takesSchemaBesideTools === true);
  return {
    prompt: schema && !schema.inPrompt && !enforced ? withSchemaInPrompt(call.prompt, schema.schema) : call.prompt,
    ...(call.temperature !== undefined && { temperature: call.temperature }),
    ...(call.maxOutputTokens !== undefined && { maxOutputTokens: call.maxOutputTokens }),
    ...(call.tools?.length && {
      tools: call.tools.map((tool) => ({ type: 'function' as const, ...tool })),
      toolChoice: call.toolChoice ?? { type: 'auto' as const },
    }),
    ...(schema && enforced && { responseFormat: { type: 'json' as const, name: schema.name, schema: schema.schema } }),
    ...(address.provider.callOptions && { providerOptions: address.provider.callOptions }),
    abortSignal,
  };
}

/** `work`, or the signal's reason as soon as it aborts: a provider that ignores its signal must not hold a call. */
async function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  await Promise.race([work, aborted]);
}

/** The error that a chain without an answer ends in: the last model's that is not merely cooling, if there is one. */
function conclude(
  models: readonly string[],
  failed: readonly FailedModel[],
  lost: readonly ModelUsage[],
): ModelCallError {
  const usage = lost.length > 0 && {
    usage: {
      inputTokens: lost.reduce((sum, { inputTokens }) => sum + inputTokens, 0),
      outputTokens: lost.reduce((sum, { outputTokens }) => sum + outputTokens, 0),
      estimated: lost.some(({ estimated }) => estimated),
    },
  };
  const telling =
    failed.findLast(({ retryAt }) => retryAt === undefined) ??
    failed.findLast(({ kind }) => kind === 'rate_limited') ??
    failed.at(-1);
  if (!telling) return new ModelCallError('not_configured', 'No model was named.', { model: '', provider: '' });
  const { model, provider, complaint, statusCode } = telling;
  const waits = failed.flatMap(({ retryAt }) => retryAt ?? []);
  const allCooling = waits.length === models.length;
  const kind = allCooling && telling.kind !== 'rate_limited' ? 'cooling' : telling.kind;
  return new ModelCallError(kind, `The provider "${provider}" ${complaint} (model ${model}).`, {
    model,
    provider,
    ...(statusCode !== undefined && { statusCode }),
    ...(allCooling && { retryAt: Math.min(...waits) }),
    ...usage,
  });
}
