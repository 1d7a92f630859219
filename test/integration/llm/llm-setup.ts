import type { LanguageModelV3Prompt } from '@ai-sdk/provider';
import { AppConfig } from '../../../src/config/index.js';
import type { ModelCall, ModelCallError } from '../../../src/modules/llm/index.js';
import { LearntOptionsRepository, type LearntOption } from '../../../src/modules/llm/learnt-options.repository.js';
import { ModelAttempts } from '../../../src/modules/llm/model-attempts.js';
import { ModelCapabilities } from '../../../src/modules/llm/model-capabilities.js';
import { ProviderCooldown } from '../../../src/modules/llm/provider-cooldown.js';
import { ProviderLlmService } from '../../../src/modules/llm/provider-llm.service.js';
import { ModelProviders } from '../../../src/modules/llm/providers/model-providers.js';
import { Clock } from '../../../src/platform/clock/index.js';
import { Database } from '../../../src/platform/database/index.js';
import type { FormChange } from '../../../src/modules/llm/request-form.js';
import { EventBus, LiveState } from '../../../src/platform/redis/index.js';

/** Shared state in a map, without expiry: time is the tests'. */
export class MapLiveState extends LiveState {
  readonly values = new Map<string, string>();
  /** While true, it behaves as when the server is gone. */
  gone = false;

  get(key: string): Promise<string | null> {
    return Promise.resolve(this.gone ? null : (this.values.get(key) ?? null));
  }
  set(key: string, value: string): Promise<void> {
    if (!this.gone) this.values.set(key, value);
    return Promise.resolve();
  }
  release(key: string, value: string): Promise<void> {
    if (!this.gone && this.values.get(key) === value) this.values.delete(key);
    return Promise.resolve();
  }
}

export class SetClock extends Clock {
  ms = Date.parse('2026-01-01T00:00:00Z');
  override now(): Date {
    return new Date(this.ms);
  }
}

/** What was learnt, in an array that several services may share. */
export class LearntInMemory extends LearntOptionsRepository {
  rows: LearntOption[] = [];

  constructor() {
    super(new Database());
  }

  override findAll(): Promise<LearntOption[]> {
    return Promise.resolve([...this.rows]);
  }
  override learn(provider: string, model: string, change: FormChange): Promise<void> {
    this.rows.push({ provider, model, ...change, learntAt: new Date(0), expiresAt: new Date(86_400_000) });
    return Promise.resolve();
  }
  override forget(): Promise<void> {
    this.rows = [];
    return Promise.resolve();
  }
}

class Listeners extends EventBus {
  private readonly listeners: ((message: unknown) => void)[] = [];
  readonly connected = true;
  publish(_channel: string, message: unknown): Promise<void> {
    for (const listener of this.listeners) listener(message);
    return Promise.resolve();
  }
  subscribe(_channel: string, listener: (message: unknown) => void): () => void {
    this.listeners.push(listener);
    return () => undefined;
  }
}

export interface Llm {
  service: ProviderLlmService;
  learnt: LearntInMemory;
  capabilities: ModelCapabilities;
  live: MapLiveState;
  clock: SetClock;
}

/** A service of these variables, as a process of its own that shares `live` and `clock` with others. */
export function createLlm(
  env: Record<string, string>,
  {
    live = new MapLiveState(),
    clock = new SetClock(),
    learnt = new LearntInMemory(),
  }: { live?: MapLiveState; clock?: SetClock; learnt?: LearntInMemory } = {},
): Llm {
  const config = AppConfig.from(env);
  const providers = new ModelProviders(config, clock);
  const capabilities = new ModelCapabilities(config, learnt, new Listeners(), clock);
  capabilities.onModuleInit();
  const attempts = new ModelAttempts(config, capabilities);
  const cooldown = new ProviderCooldown(live, clock);
  const service = new ProviderLlmService(config, providers, cooldown, clock, attempts, capabilities);
  return { service, live, clock, learnt, capabilities };
}

export const PROMPT: LanguageModelV3Prompt = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: [{ type: 'text', text: 'Say hello.' }] },
];

export function callOf(more: Partial<ModelCall> = {}): ModelCall {
  return { prompt: PROMPT, signal: new AbortController().signal, ...more };
}

/** What a call fails with. */
export async function failureOf(call: Promise<unknown>): Promise<ModelCallError> {
  const settled = await call.then(
    (answer) => ({ answer }),
    (error: unknown) => ({ error }),
  );
  if ('answer' in settled) throw new Error(`It answered: ${JSON.stringify(settled.answer)}`);
  return settled.error as ModelCallError;
}
