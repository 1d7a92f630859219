import { addAbortListener } from 'node:events';
import type { LanguageModelV3, LanguageModelV3CallOptions } from '@ai-sdk/provider';
import { Injectable } from '@nestjs/common';
import { AppConfig } from '../../config/index.js';
import { AnswerDraft } from './answer-draft.js';
import { holdsIdsOf, isBoundTo, promptFor } from './assistant-message.js';
import { withCacheMarks } from './cache-marks.js';
import type { ModelAnswer, ModelCall, ModelUsage } from './model-call.js';
import { ModelCapabilities } from './model-capabilities.js';
import { CallDeadlinePassedError } from './model-failure.js';
import type { Tariff } from './model-prices.js';
import type { ModelAddress } from './providers/model-providers.js';
import {
  changed,
  refusalOf,
  remediesFor,
  sentParameters,
  type FormChange,
  type OptionalParameter,
  type RequestForm,
} from './request-form.js';
import { withSchemaInPrompt } from './response-schema.js';
import { estimatePromptTokens } from './token-estimate.js';

/** Aborts what a call may have left running; made once, since errors are slow to make. */
const CALL_OVER = new Error('the call is over');
const MOST_REMEMBERED = 1_000;
/** Requests that one call may take to find out what its endpoint refuses. */
const MOST_REQUESTS = 12;
/** Milliseconds for which a refusal that nothing helped against is not looked into again. */
const HOPELESS_MS = 5 * 60_000;

/** One model of a chain, and what its tokens cost. */
export interface AttemptedModel {
  /** As it is addressed by callers. */
  model: string;
  address: ModelAddress;
  tariff: Tariff | null;
}

/**
 * Asks one model. A request that its endpoint refuses is asked again without the optional parameter that the refusal is
 * about; what helped is remembered, so that later calls leave it out from the first.
 */
@Injectable()
export class ModelAttempts {
  private readonly settings: AppConfig['models'];
  /** Models made before: making one costs as much as half a call, since its validators are built anew. */
  private readonly made = new Map<string, LanguageModelV3>();
  /** Refusals that no remedy helped against, by endpoint and words, and until when (`performance.now()`). */
  private readonly hopeless = new Map<string, number>();

  constructor(
    config: AppConfig,
    private readonly capabilities: ModelCapabilities,
  ) {
    this.settings = config.models;
  }

  /** @throws whatever the provider, the SDK or the caller's hooks throw. */
  async answer(asked: AttemptedModel, call: ModelCall): Promise<ModelAnswer> {
    const form = await this.capabilities.load(asked.address);
    try {
      return await this.exchange(asked, call, form);
    } catch (error) {
      const refusal = call.signal.aborted ? null : refusalOf(error);
      if (!refusal || this.isHopeless(asked, refusal.words)) throw error;
      return this.answerOtherwise(asked, call, form, error);
    }
  }

  /**
   * Asks again, one remedy after the other. A remedy after which the endpoint complains of something else stays; one that
   * changes nothing is taken back.
   */
  private async answerOtherwise(
    asked: AttemptedModel,
    call: ModelCall,
    usual: RequestForm,
    first: unknown,
  ): Promise<ModelAnswer> {
    const kept: FormChange[] = [];
    const tried: FormChange[] = [];
    let refusal = refusalOf(first);
    for (let requests = 1; refusal && requests < MOST_REQUESTS; requests += 1) {
      const form = changed(usual, kept);
      const remedy = remediesFor(refusal, this.sent(asked, call, form), form.maxTokensName).find(
        (change) =>
          !tried.some((other) => isSame(other, change)) && !this.capabilities.isSettled(asked.address, change),
      );
      if (!remedy) break;
      tried.push(remedy);
      const changes = [...kept, remedy];
      const shorter = changes.some(({ parameter, instead }) => parameter === 'max_tokens' && instead === null);
      // Without a limit the answer may cost more than was promised for it.
      if (shorter) await call.beforeModel?.(asked.model, { maxOutputTokens: undefined });
      try {
        const answer = await this.exchange(asked, call, changed(usual, changes));
        await this.capabilities.learn(asked.address, changes);
        return answer;
      } catch (error) {
        const next = call.signal.aborted ? null : refusalOf(error);
        if (!next) throw error;
        if (gist(next.words) !== gist(refusal.words)) {
          kept.push(remedy);
          refusal = next;
        }
      }
    }
    this.giveUp(asked, refusalOf(first)?.words ?? '');
    throw first;
  }

  private sent({ model, address }: AttemptedModel, call: ModelCall, form: RequestForm): OptionalParameter[] {
    return sentParameters(call, form, {
      bound: call.prompt.some((message) => isBoundTo(model, message)),
      ownIds: call.prompt.some((message) => holdsIdsOf(model, message)),
      streams: this.settings.streaming,
      marksCache: address.provider.marksCache?.(address.id) === true,
      isCompatible: address.provider.isCompatible === true,
    });
  }

  private isHopeless({ address }: AttemptedModel, words: string): boolean {
    return (this.hopeless.get(`${endpointOf(address)} ${gist(words)}`) ?? 0) > performance.now();
  }

  private giveUp({ address }: AttemptedModel, words: string): void {
    if (this.hopeless.size >= MOST_REMEMBERED) this.hopeless.clear();
    this.hopeless.set(`${endpointOf(address)} ${gist(words)}`, performance.now() + HOPELESS_MS);
  }

  /** One request. Whatever ends it, it leaves no connection, timer or listener behind. */
  private async exchange(asked: AttemptedModel, call: ModelCall, form: RequestForm): Promise<ModelAnswer> {
    const { model, address, tariff } = asked;
    const over = new AbortController();
    const signal = AbortSignal.any([call.signal, over.signal]);
    const timer = setTimeout(() => over.abort(new CallDeadlinePassedError()), this.settings.deadlinesMs.total);
    const draft = new AnswerDraft(call.onText);
    const priced = (): { usage: ModelUsage; costUsd: number | null } => {
      const usage = draft.spent(() => estimatePromptTokens(call));
      return { usage, costUsd: tariff?.(usage) ?? null };
    };
    try {
      const languageModel = await this.modelAt(address);
      const options = requestOptions(asked, call, form, signal);
      await untilAborted(this.receive(languageModel, options, draft), signal);
      return { model, ...draft.close(), ...priced() };
    } catch (error) {
      if (draft.hasBegun) call.onLost?.({ model, ...priced(), text: draft.said });
      throw signal.aborted ? signal.reason : error;
    } finally {
      clearTimeout(timer);
      over.abort(CALL_OVER);
    }
  }

  private async modelAt(address: ModelAddress): Promise<LanguageModelV3> {
    const endpoint = endpointOf(address);
    let model = this.made.get(endpoint);
    if (!model) {
      model = await address.provider.model(address.id);
      if (this.made.size >= MOST_REMEMBERED) this.made.clear();
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
      return draft.addAll(answer.content, answer.finishReason, answer.usage, answer.providerMetadata);
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
}

function endpointOf({ provider, id }: ModelAddress): string {
  return `${provider.name} ${id}`;
}

function isSame(a: FormChange, b: FormChange): boolean {
  return a.parameter === b.parameter && a.instead === b.instead;
}

/** Words without what differs from one answer to the next: ids and numbers. */
function gist(words: string): string {
  return words.replace(/[\w-]*\d[\w-]*/g, '#').slice(0, 1_000);
}

/** The request as the SDK takes it. */
function requestOptions(
  { model, address }: AttemptedModel,
  call: ModelCall,
  form: RequestForm,
  abortSignal: AbortSignal,
): LanguageModelV3CallOptions {
  const { provider, id } = address;
  const { responseSchema: schema, temperature, maxOutputTokens } = call;
  const hasTools = (call.tools?.length ?? 0) > 0;
  const sends = (parameter: OptionalParameter): boolean => !form.without.has(parameter);
  const enforced = schema !== undefined && sends('response_format') && (!hasTools || form.schemaBesideTools);
  const marksCache = provider.marksCache?.(id) === true && sends('cache_control');
  let prompt = promptFor(call.prompt, model, { reasoning: sends('reasoning'), callIds: sends('tool_call_ids') });
  if (schema && !schema.inPrompt && !enforced) prompt = withSchemaInPrompt(prompt, schema.schema);
  const providerOptions = provider.callOptionsFor?.({
    maxTokensName: form.maxTokensName,
    streamOptions: sends('stream_options'),
    marksCache,
  });
  return {
    prompt: marksCache && !provider.isCompatible ? withCacheMarks(prompt, hasTools) : prompt,
    ...(temperature !== undefined && sends('temperature') && { temperature }),
    ...(maxOutputTokens !== undefined && sends('max_tokens') && { maxOutputTokens }),
    ...(hasTools && { tools: call.tools?.map((tool) => ({ type: 'function' as const, ...tool })) ?? [] }),
    ...(hasTools && sends('tool_choice') && { toolChoice: call.toolChoice ?? { type: 'auto' as const } }),
    ...(enforced && { responseFormat: { type: 'json' as const, name: schema.name, schema: schema.schema } }),
    ...(providerOptions && { providerOptions }),
    abortSignal,
  };
}

/** `work`, or the signal's reason as soon as it aborts: a provider that ignores its signal must not hold a call. */
async function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = new Promise<never>((_, reject) => {
    addAbortListener(signal, () => reject(signal.reason as Error));
  });
  await Promise.race([work, aborted]);
}
