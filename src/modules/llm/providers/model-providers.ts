import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { AppConfig } from '../../../config/index.js';
import { Clock } from '../../../platform/clock/index.js';
import { createModelFetch } from '../model-fetch.js';
import { CompatibleProvider } from './compatible.provider.js';
import { DirectProvider } from './direct.provider.js';
import type { ModelProvider } from './model-provider.js';
import { ScriptProvider } from './script.provider.js';

const LOCAL_OLLAMA = 'http://127.0.0.1:11434';
const PROBE_MS = 500;
const LIST_MS = 5_000;
/** How long a list of models is believed, and how long a provider that did not list is left alone. */
const LIST_FRESH_MS = 60_000;
const LIST_FAILED_MS = 10_000;

/** A model as one provider knows it. */
export interface ModelAddress {
  provider: ModelProvider;
  /** The id that the provider is given. */
  id: string;
}

interface Listing {
  ids: string[];
  /** Epoch milliseconds until which it is not read again. */
  freshUntil: number;
  reading: Promise<void> | null;
  answers: boolean;
}

/**
 * Which provider an id addresses. What stands before the first `/` names a provider only if it is `script`, a direct
 * provider whose key is set, `ollama` where one is known, or `gateway`; every other id goes unchanged to the gateway, or,
 * without one, to Ollama.
 */
@Injectable()
export class ModelProviders implements OnModuleInit {
  private readonly logger = new Logger(ModelProviders.name);
  private readonly script = new ScriptProvider();
  private readonly gateway: ModelProvider | null;
  private readonly direct: ReadonlyMap<string, ModelProvider>;
  private readonly ollama: ModelProvider;
  /** Whether Ollama is only hoped for: nothing is configured, so it counts from the moment it answers. */
  private readonly ollamaIsHoped: boolean;
  private readonly ollamaIsSet: boolean;
  private readonly listings = new Map<ModelProvider, Listing>();

  constructor(
    config: AppConfig,
    private readonly clock: Clock,
  ) {
    const { gateway, direct, ollamaBaseUrl, deadlinesMs, streaming } = config.models;
    // A whole answer has no first byte before its last one.
    const fetch = createModelFetch(
      { ...deadlinesMs, firstByte: streaming ? deadlinesMs.firstByte : deadlinesMs.total },
      config.proxy,
    );
    this.gateway = gateway && new CompatibleProvider('gateway', trimmed(gateway.baseUrl), gateway.apiKey, fetch);
    this.direct = new Map(
      Object.entries(direct).map(([name, settings]) => [name, directProvider(name, settings, fetch)]),
    );
    const ollamaUrl = trimmed(ollamaBaseUrl ?? LOCAL_OLLAMA);
    this.ollama = new CompatibleProvider(
      'ollama',
      ollamaUrl.endsWith('/v1') ? ollamaUrl : `${ollamaUrl}/v1`,
      null,
      fetch,
    );
    this.ollamaIsSet = ollamaBaseUrl !== null;
    this.ollamaIsHoped = !this.ollamaIsSet && !this.gateway && this.direct.size === 0;
  }

  /** Starts reading the lists of models; nothing waits for it. */
  onModuleInit(): void {
    for (const provider of this.candidates()) void this.read(provider);
  }

  /** Whether a provider is set by configuration. */
  get anyConfigured(): boolean {
    return this.gateway !== null || this.direct.size > 0 || this.ollamaIsSet;
  }

  /** The address of `model`, or null when no provider serves it. */
  find(model: string): ModelAddress | null {
    const slash = model.indexOf('/');
    const prefix = slash < 0 ? '' : model.slice(0, slash);
    const rest = model.slice(slash + 1);
    if (model.length === 0 || (prefix && !rest)) return null;
    if (prefix === 'script') return this.script.has(rest) ? { provider: this.script, id: rest } : null;
    const direct = this.direct.get(prefix);
    if (direct) return { provider: direct, id: rest };
    const fallback = this.gateway ?? (this.ollamaIsKnown ? this.ollama : null);
    if (prefix === 'gateway') return fallback && { provider: fallback, id: rest };
    if (prefix === 'ollama' && this.ollamaIsKnown) return { provider: this.ollama, id: rest };
    return fallback && { provider: fallback, id: model };
  }

  /** As `find`, after the first look for Ollama has ended (half a second at most). */
  async resolve(model: string): Promise<ModelAddress | null> {
    if (this.ollamaIsHoped && !model.startsWith('script/')) await this.read(this.ollama);
    return this.find(model);
  }

  /** The provider of this name, if it is configured or answers; scripts have none. */
  named(name: string): ModelProvider | null {
    return this.candidates().find((provider) => provider.name === name) ?? null;
  }

  /** How `id` of `provider` is addressed so that `find` leads back to it. */
  address(provider: ModelProvider, id: string): string {
    const found = provider === this.gateway ? this.find(id) : null;
    return found?.provider === provider && found.id === id ? id : `${provider.name}/${id}`;
  }

  /** Every model that is offered now, as it is addressed, in the order in which a default is chosen. */
  async offered(): Promise<string[]> {
    const lists = await Promise.all(
      this.candidates().map(async (provider) => ({ provider, ids: await this.read(provider) })),
    );
    return lists.flatMap(({ provider, ids }) => ids.map((id) => this.address(provider, id)));
  }

  /** As `offered`, of the models in the box. */
  async scripted(): Promise<string[]> {
    return (await this.script.list()).map((id) => `script/${id}`);
  }

  private candidates(): ModelProvider[] {
    const ollama = this.ollamaIsSet || this.ollamaIsHoped ? [this.ollama] : [];
    return [...(this.gateway ? [this.gateway] : []), ...this.direct.values(), ...ollama];
  }

  private get ollamaIsKnown(): boolean {
    return this.ollamaIsSet || (this.ollamaIsHoped && (this.listings.get(this.ollama)?.ids.length ?? 0) > 0);
  }

  /**
   * The list of `provider`: the last good one while a newer one is being read, so that only the first reader waits.
   * Concurrent readers share one request.
   */
  private async read(provider: ModelProvider): Promise<string[]> {
    const listing = this.listings.get(provider) ?? { ids: [], freshUntil: 0, reading: null, answers: true };
    this.listings.set(provider, listing);
    if (this.clock.now().getTime() >= listing.freshUntil) {
      listing.reading ??= this.refresh(provider, listing).finally(() => {
        listing.reading = null;
      });
      if (listing.ids.length === 0) await listing.reading;
    }
    return listing.ids;
  }

  private async refresh(provider: ModelProvider, listing: Listing): Promise<void> {
    const isHope = provider === this.ollama && this.ollamaIsHoped;
    try {
      listing.ids = await provider.list(AbortSignal.timeout(isHope ? PROBE_MS : LIST_MS));
      listing.freshUntil = this.clock.now().getTime() + LIST_FRESH_MS;
      listing.answers = true;
    } catch {
      listing.freshUntil = this.clock.now().getTime() + LIST_FAILED_MS;
      if (isHope) listing.ids = [];
      else if (listing.answers) this.logger.warn(`The provider "${provider.name}" does not list its models.`);
      listing.answers = false;
    }
  }
}

/** A stand-in for OpenAI's own endpoint seldom knows more than chat completions, and those in its own way. */
function directProvider(
  name: string,
  settings: AppConfig['models']['direct'][string],
  fetch: typeof globalThis.fetch,
): ModelProvider {
  if (name === 'openai' && settings.baseUrl !== null) {
    return new CompatibleProvider(name, trimmed(settings.baseUrl), settings.apiKey, fetch);
  }
  return new DirectProvider(name, settings, fetch);
}

function trimmed(url: string): string {
  return url.replace(/\/+$/, '');
}
