import { Injectable, Logger, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { AppConfig } from '../../config/index.js';
import { Clock } from '../../platform/clock/index.js';
import { EventBus } from '../../platform/redis/index.js';
import { LearntOptionsRepository, type LearntOption } from './learnt-options.repository.js';
import type { ModelAddress } from './providers/model-providers.js';
import { changed, OPTIONAL_PARAMETERS, USUAL_FORM, type FormChange, type RequestForm } from './request-form.js';

/** Tells every replica that the record has changed. */
const CHANNEL = 'model-options';
/** How long what was read is believed, since a message may be lost. */
const FRESH_MS = 5_000;
const LEARNT_FOR_HOURS = 24;

type ModelOptions = AppConfig['models']['options'][string];

/**
 * What each model is asked otherwise than usual: what the operator set in `MODEL_OPTIONS`, and what its endpoint refused. The
 * latter is kept in PostgreSQL for a day and shared by all replicas; while PostgreSQL is away, this process goes on with
 * what it knows.
 */
@Injectable()
export class ModelCapabilities implements OnModuleInit, OnModuleDestroy {
  private readonly logger = new Logger('LlmService');
  private readonly overrides: AppConfig['models']['options'];
  private learnt: LearntOption[] = [];
  private forms = new Map<string, RequestForm>();
  private freshUntil = 0;
  private reading: Promise<void> | null = null;
  private unsubscribe = (): void => undefined;

  constructor(
    config: AppConfig,
    private readonly repository: LearntOptionsRepository,
    private readonly bus: EventBus,
    private readonly clock: Clock,
  ) {
    this.overrides = config.models.options;
  }

  onModuleInit(): void {
    const expire = (): void => {
      this.freshUntil = 0;
    };
    this.unsubscribe = this.bus.subscribe(CHANNEL, expire, expire);
  }

  onModuleDestroy(): void {
    this.unsubscribe();
  }

  /** The form of requests to a model, after a look at the record when what is known of it may be old. */
  async load(address: ModelAddress): Promise<RequestForm> {
    if (address.provider.name === 'script') return this.form(address);
    if (this.clock.now().getTime() >= this.freshUntil) {
      this.reading ??= this.read().finally(() => {
        this.reading = null;
      });
      await this.reading;
    }
    return this.form(address);
  }

  /** As `load`, of what is known now. */
  form(address: ModelAddress): RequestForm {
    const key = `${address.provider.name} ${address.id}`;
    let form = this.forms.get(key);
    if (!form) {
      const known = this.learnt.filter(
        ({ provider, model }) => provider === address.provider.name && model === address.id,
      );
      const options = this.optionsOf(address);
      form = overridden(changed(usual(address, options), known), options);
      if (this.forms.size >= 1_000) this.forms.clear();
      this.forms.set(key, form);
    }
    return form;
  }

  /** Whether the operator has settled what becomes of a parameter, so that nothing is learnt of it. */
  isSettled(address: ModelAddress, { parameter }: FormChange): boolean {
    return parameter !== 'response_format_with_tools' && this.optionsOf(address)[parameter] !== undefined;
  }

  /** The settings of `MODEL_OPTIONS` for a model: those of its id before those of its provider. */
  optionsOf({ provider, id }: ModelAddress): ModelOptions {
    const own = (key: string): ModelOptions => (Object.hasOwn(this.overrides, key) ? this.overrides[key] : {}) ?? {};
    return { ...own(provider.name), ...own(id), ...own(`${provider.name}/${id}`) };
  }

  /** Everything that endpoints refused and that has not expired. */
  async all(): Promise<readonly LearntOption[]> {
    await this.read();
    return this.learnt;
  }

  /** Learns what a model goes without, once a refusal went away with it. Never rejects: a call must not fail for it. */
  async learn({ provider, id }: ModelAddress, changes: readonly FormChange[]): Promise<void> {
    const at = this.clock.now();
    const expiresAt = new Date(at.getTime() + LEARNT_FOR_HOURS * 3_600_000);
    for (const change of changes) {
      this.learnt = [
        ...this.learnt.filter(
          (known) => !(known.provider === provider.name && known.model === id && known.parameter === change.parameter),
        ),
        { provider: provider.name, model: id, ...change, learntAt: at, expiresAt },
      ];
    }
    this.forms.clear();
    try {
      for (const change of changes) await this.repository.learn(provider.name, id, change, LEARNT_FOR_HOURS);
      await this.bus.publish(CHANNEL, {});
    } catch (error) {
      this.logger.warn(`What the provider "${provider.name}" refuses could not be stored: ${(error as Error).message}`);
    }
  }

  /** Forgets what was learnt of one model, or of all. */
  async forget(address: ModelAddress | null): Promise<void> {
    await this.repository.forget(address && { provider: address.provider.name, model: address.id });
    this.freshUntil = 0;
    await this.bus.publish(CHANNEL, {});
  }

  private async read(): Promise<void> {
    const freshUntil = this.clock.now().getTime() + FRESH_MS;
    try {
      this.freshUntil = freshUntil;
      const learnt = await this.repository.findAll();
      if (JSON.stringify(learnt) === JSON.stringify(this.learnt)) return;
      this.learnt = learnt;
      this.forms.clear();
    } catch {
      // The database's own faults are reported where they matter; what is known serves until it is back.
    }
  }
}

/** The form before anything was refused. */
function usual({ provider }: ModelAddress, options: ModelOptions): RequestForm {
  const schemaBesideTools = options.response_format_with_tools ?? provider.takesSchemaBesideTools === true;
  return { ...USUAL_FORM, schemaBesideTools };
}

/** The operator's word before what was learnt, save of a schema beside tools: that it is taken is a claim that a refusal ends. */
function overridden(form: RequestForm, options: ModelOptions): RequestForm {
  const without = new Set(form.without);
  for (const parameter of OPTIONAL_PARAMETERS) {
    const set = options[parameter];
    if (parameter === 'response_format_with_tools') continue;
    if (set === false) without.add(parameter);
    else if (set !== undefined) without.delete(parameter);
  }
  const { max_tokens: maxTokens } = options;
  return {
    without,
    maxTokensName:
      maxTokens === 'max_completion_tokens' ? maxTokens : maxTokens === true ? 'max_tokens' : form.maxTokensName,
    schemaBesideTools: form.schemaBesideTools,
  };
}
