import { Injectable } from '@nestjs/common';
import { AppConfig } from '../../config/index.js';
import { DomainError } from '../../platform/errors/index.js';
import type { LearntOption } from './learnt-options.repository.js';
import { LlmService } from './llm.service.js';
import { ModelCapabilities } from './model-capabilities.js';
import { catalogueContextWindow } from './model-prices.js';
import { ModelProviders } from './providers/model-providers.js';
import { tableId } from './providers/table-id.js';
import type { RequestForm } from './request-form.js';

/** A model that can be asked, and what is known of it. */
export interface OfferedModel {
  id: string;
  provider: string;
  priceKnown: boolean;
  allowed: boolean;
  form: RequestForm;
  maxOutput: number | null;
  contextWindow: number | null;
  learnt: LearntOption[];
}

/** The models that can be asked, as people are shown them. */
@Injectable()
export class OfferedModels {
  private readonly allowed: AppConfig['models']['allowed'];

  constructor(
    config: AppConfig,
    private readonly llm: LlmService,
    private readonly providers: ModelProviders,
    private readonly capabilities: ModelCapabilities,
  ) {
    this.allowed = config.models.allowed;
  }

  /** Those that providers list, the default, and those of which something was learnt, which a gateway may not list. */
  async all(): Promise<OfferedModel[]> {
    const [offered, standard, learnt] = await Promise.all([
      this.llm.available(),
      this.llm.defaultModel(),
      this.capabilities.all(),
    ]);
    const addressed = learnt.flatMap(({ provider, model }) => {
      const known = this.providers.named(provider);
      return known ? [this.providers.address(known, model)] : [];
    });
    const ids = [...new Set([...offered, ...(standard === null ? [] : [standard]), ...addressed])];
    return ids.flatMap((id) => this.one(id, learnt) ?? []);
  }

  /**
   * Forgets what was learnt of `model`, or of all models.
   * @throws DomainError not_found when no configured provider serves it.
   */
  async forget(model: string | undefined): Promise<void> {
    const address = model === undefined ? null : this.providers.find(model);
    if (model !== undefined && !address) throw new DomainError('not_found', `There is no model ${model}.`);
    await this.capabilities.forget(address);
  }

  private one(id: string, learnt: readonly LearntOption[]): OfferedModel | null {
    const address = this.providers.find(id);
    if (!address) return null;
    const options = this.capabilities.optionsOf(address);
    return {
      id,
      provider: address.provider.name,
      priceKnown: this.llm.isPriced(id),
      allowed: this.allowed === null || this.allowed.includes(id),
      form: this.capabilities.form(address),
      maxOutput: options.max_output ?? null,
      contextWindow: options.context_window ?? catalogueContextWindow(tableId(address, address.id)),
      learnt: learnt.filter(({ provider, model }) => provider === address.provider.name && model === address.id),
    };
  }
}
