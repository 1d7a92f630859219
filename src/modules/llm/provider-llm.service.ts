import { Injectable, Logger } from '@nestjs/common';
import { AppConfig } from '../../config/index.js';
import { Clock } from '../../platform/clock/index.js';
import { SecretCover } from '../../platform/logging/index.js';
import { LlmService, type ModelRequest } from './llm.service.js';
import { ModelCallError, type ModelAnswer, type ModelCall, type ModelUsage } from './model-call.js';
import { ModelAttempts } from './model-attempts.js';
import { ModelCapabilities } from './model-capabilities.js';
import { toFailure, type ModelFailure } from './model-failure.js';
import { catalogueContextWindow, tariffOf, type Tariff } from './model-prices.js';
import { NEVER_COOLED, ProviderCooldown } from './provider-cooldown.js';
import { ModelProviders, type ModelAddress } from './providers/model-providers.js';
import { tableId } from './providers/table-id.js';
import { shownWords } from './provider-words.js';
import { mostPromptTokens } from './token-estimate.js';

const MOST_REMEMBERED_MODELS = 1_000;
/** Characters of what a model sent in vain. */
const MOST_SENT = 20_000;
/** Characters; what is shorter, as `x`, is a stand-in and stands in every other word. */
const SHORTEST_KEY = 4;

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
  private readonly secrets: SecretCover;
  /** Tariffs found before: looking one up takes half a millisecond. */
  private readonly tariffs = new Map<string, Tariff | null>();

  constructor(
    config: AppConfig,
    private readonly providers: ModelProviders,
    private readonly cooldown: ProviderCooldown,
    private readonly clock: Clock,
    private readonly attempts: ModelAttempts,
    private readonly capabilities: ModelCapabilities,
  ) {
    super();
    this.settings = config.models;
    this.isProduction = config.production;
    const keys = [config.models.gateway?.apiKey, ...Object.values(config.models.direct).map(({ apiKey }) => apiKey)];
    this.secrets = new SecretCover(
      keys.filter((key): key is string => typeof key === 'string' && key.length >= SHORTEST_KEY),
    );
  }

  async call(chain: readonly string[], call: ModelCall): Promise<ModelAnswer> {
    call.signal.throwIfAborted();
    const models = [...new Set(chain)];
    const failed: FailedModel[] = [];
    const lost: ModelUsage[] = [];
    let said = '';
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
        said = loss.text;
        call.onLost?.(loss);
      },
    };
    try {
      for (const model of models) {
        said = '';
        const outcome = await this.ask(model, heard);
        if ('text' in outcome) return outcome;
        const sent = this.secrets.hide((outcome.sent ?? said).slice(0, MOST_SENT)).toWellFormed();
        failed.push({ ...outcome, sent });
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
    const tariff = this.tariff(model);
    const address = this.providers.find(model);
    if (address?.provider.name === 'script') return tariff?.({ inputTokens: 0, outputTokens: 0 }) ?? null;
    const inputTokens = mostPromptTokens(call);
    const outputTokens = this.mostOutputTokens(model, address, call, inputTokens);
    if (outputTokens === null) return null;
    // A cache that is written to may cost more than plain input, and one that is read from less.
    const cacheWriteTokens = address?.provider.marksCache?.(address.id) ? inputTokens : 0;
    return tariff?.({ inputTokens, outputTokens, cacheWriteTokens }) ?? null;
  }

  /** The tokens of the longest answer: as the request limits it, else as the operator or the table knows the model. */
  private mostOutputTokens(
    model: string,
    address: ModelAddress | null,
    call: ModelRequest,
    inputTokens: number,
  ): number | null {
    const isLimited = address === null || !this.capabilities.form(address).without.has('max_tokens');
    if (call.maxOutputTokens !== undefined && isLimited) return call.maxOutputTokens;
    const options = address === null ? {} : this.capabilities.optionsOf(address);
    if (options.max_output !== undefined) return options.max_output;
    const id = address?.id ?? model;
    const window = options.context_window ?? catalogueContextWindow(tableId(address, id));
    return window === null ? null : Math.max(1, window - inputTokens);
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
      const answer = await this.attempts.answer({ model, address, tariff: this.tariff(model) }, call);
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
    const failure = toFailure(error, this.clock.now().getTime());
    const words = shownWords(failure.words ?? '', this.secrets);
    const complaint = words === '' ? failure.complaint : `${failure.complaint}: ${words}`;
    return { ...failure, complaint, model, provider };
  }

  private report({ provider, model, complaint, detail, kind }: FailedModel): void {
    if (kind === 'cooling') return;
    const said = shownWords(detail ?? '', this.secrets);
    this.logger.warn(`The model ${model} of the provider "${provider}" ${complaint}.${said && ` It said: ${said}`}`);
  }
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
  const { model, provider, complaint, statusCode, sent } = telling;
  const waits = failed.flatMap(({ retryAt }) => retryAt ?? []);
  const allCooling = waits.length === models.length;
  const kind = allCooling && telling.kind !== 'rate_limited' ? 'cooling' : telling.kind;
  return new ModelCallError(kind, `The provider "${provider}" ${complaint} (model ${model}).`, {
    model,
    provider,
    ...(statusCode !== undefined && { statusCode }),
    ...(sent && { sent }),
    ...(allCooling && { retryAt: Math.min(...waits) }),
    ...usage,
  });
}
