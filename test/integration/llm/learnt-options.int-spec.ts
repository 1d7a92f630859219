import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { AppConfig } from '../../../src/config/index.js';
import { LearntOptionsRepository } from '../../../src/modules/llm/learnt-options.repository.js';
import { ModelCapabilities } from '../../../src/modules/llm/model-capabilities.js';
import { ModelProviders } from '../../../src/modules/llm/providers/model-providers.js';
import { sql } from '../../../src/platform/database/index.js';
import { EventBus } from '../../../src/platform/redis/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { SetClock } from './llm-setup.js';

const NO_TEMPERATURE = { parameter: 'temperature', instead: null } as const;
const OTHER_NAME = { parameter: 'max_tokens', instead: 'max_completion_tokens' } as const;

/** A bus between processes, which may lose what it is told. */
class Wire extends EventBus {
  readonly connected = true;
  isCut = false;
  private readonly listeners: (() => void)[] = [];
  publish(): Promise<void> {
    if (!this.isCut) for (const listener of this.listeners) listener();
    return Promise.resolve();
  }
  subscribe(_channel: string, listener: (message: unknown) => void): () => void {
    this.listeners.push(() => listener({}));
    return () => undefined;
  }
}

describe('what endpoints refused, in PostgreSQL', () => {
  let db: TestDatabase;
  let options: LearntOptionsRepository;
  beforeAll(async () => {
    db = await createTestDatabase();
    options = new LearntOptionsRepository(db.database);
  });
  afterAll(() => db.drop());
  beforeEach(() => db.database.query('test.clear', sql`truncate learnt_model_options`));
  /** Lets so many hours pass for what is stored. */
  const age = (hours: number) =>
    db.database.query(
      'test.age',
      sql`update learnt_model_options set
            learnt_at = learnt_at - make_interval(hours => ${hours}), expires_at = expires_at - make_interval(hours => ${hours})`,
    );
  const known = async () =>
    (await options.findAll()).map(({ model, parameter, instead }) => [model, parameter, instead]);

  it('is known for a day, and not longer', async () => {
    await options.learn('gateway', 'm', NO_TEMPERATURE, 24);
    const [row] = await options.findAll();
    expect(row).toMatchObject({ provider: 'gateway', model: 'm', ...NO_TEMPERATURE });
    expect(row!.expiresAt.getTime() - row!.learntAt.getTime()).toBe(24 * 3_600_000);
    await age(23);
    expect(await known()).toHaveLength(1);
    await age(1);
    expect(await known()).toEqual([]);
  });

  it('is learnt anew for another day, in the place of what was known', async () => {
    await options.learn('gateway', 'm', OTHER_NAME, 24);
    await age(23);
    await options.learn('gateway', 'm', { ...OTHER_NAME, instead: null }, 24);
    await age(2);
    expect(await known()).toEqual([['m', 'max_tokens', null]]);
  });

  it('takes the place of nothing that another model, provider or parameter is about, and forgets what is over', async () => {
    await options.learn('gateway', 'old', NO_TEMPERATURE, 24);
    await age(26);
    for (const [provider, model] of [
      ['gateway', 'm'],
      ['gateway', 'n'],
      ['openai', 'm'],
    ] as const) {
      await options.learn(provider, model, NO_TEMPERATURE, 24);
      await options.learn(provider, model, OTHER_NAME, 24);
    }
    expect(await db.database.query('test.all', sql`select from learnt_model_options`)).toHaveLength(6);
    await options.forget({ provider: 'gateway', model: 'm' });
    expect((await options.findAll()).map(({ provider, model }) => `${provider} ${model}`)).toEqual([
      'gateway n',
      'gateway n',
      'openai m',
      'openai m',
    ]);
    await options.forget(null);
    expect(await known()).toEqual([]);
  });

  describe('of two replicas', () => {
    const replica = (wire: Wire, clock: SetClock) => {
      const config = AppConfig.from({ LLM_BASE_URL: 'http://127.0.0.1:9/v1' });
      const capabilities = new ModelCapabilities(config, new LearntOptionsRepository(db.database), wire, clock);
      capabilities.onModuleInit();
      const address = new ModelProviders(config, clock).find('m')!;
      const leavesOut = async () => [...(await capabilities.load(address)).without];
      return { capabilities, address, leavesOut };
    };

    it('is known to both at once, and forgotten by both', async () => {
      const [wire, clock] = [new Wire(), new SetClock()];
      const [one, two] = [replica(wire, clock), replica(wire, clock)];
      expect([await one.leavesOut(), await two.leavesOut()]).toEqual([[], []]);
      await one.capabilities.learn(one.address, [NO_TEMPERATURE]);
      expect([await one.leavesOut(), await two.leavesOut()]).toEqual([['temperature'], ['temperature']]);
      await two.capabilities.forget(two.address);
      expect([await one.leavesOut(), await two.leavesOut()]).toEqual([[], []]);
    });

    it('is known to both within seconds where a message is lost, and ends for both', async () => {
      const [wire, clock] = [new Wire(), new SetClock()];
      const [one, two] = [replica(wire, clock), replica(wire, clock)];
      expect(await two.leavesOut()).toEqual([]);
      wire.isCut = true;
      await one.capabilities.learn(one.address, [NO_TEMPERATURE]);
      expect(await two.leavesOut()).toEqual([]);
      clock.ms += 5_000;
      expect(await two.leavesOut()).toEqual(['temperature']);
      await age(24);
      clock.ms += 5_000;
      expect([await one.leavesOut(), await two.leavesOut()]).toEqual([[], []]);
    });
  });
});
