import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { AppConfig } from '../../../src/config/index.js';
import { AgentRecords } from '../../../src/modules/agents/agent-records.js';
import { AgentWork } from '../../../src/modules/agents/agent-work.js';
import type { AgentConfig, StoredAgent } from '../../../src/modules/agents/agent.js';
import { AgentsRepository } from '../../../src/modules/agents/agents.repository.js';
import { AgentsService } from '../../../src/modules/agents/agents.service.js';
import { TurnsRepository } from '../../../src/modules/tasks/turns.repository.js';
import { StartedWorkRepository } from '../../../src/modules/tools/platform/started-work.repository.js';
import { Clock } from '../../../src/platform/clock/index.js';
import { Database, sql } from '../../../src/platform/database/index.js';
import { InProcessSharedState } from '../../../src/platform/redis/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';

const CONFIG: AgentConfig = {
  name: 'Ada',
  systemPrompt: '',
  model: null,
  tools: null,
  memoryTiers: [],
  maxContextTokens: 8_192,
  fallbackModels: [],
  metadata: {},
};

let db: TestDatabase;
const clock = new Clock();
let state: InProcessSharedState;
beforeAll(async () => {
  db = await createTestDatabase({ poolSize: 20 });
});
afterAll(() => db.drop());
beforeEach(async () => {
  state = new InProcessSharedState();
  await db.database.query('test.clear', sql`truncate agents, turns`);
});

/** Turns as the agents of one process ask for them. */
function workOn(database: Database): AgentWork {
  const work = new AgentWork();
  work.serve(new TurnsRepository(database));
  return work;
}

/** The agents module of one process; `hook` runs before each look at the whole table. */
function replica(hook: () => Promise<void> = async () => undefined) {
  class Hooked extends AgentsRepository {
    override async findAll(): Promise<StoredAgent[]> {
      await hook();
      return super.findAll();
    }
  }
  const agents = new Hooked(db.database);
  const records = new AgentRecords(db.database, agents, state.agents);
  const config = AppConfig.from({});
  return {
    agents,
    records,
    service: new AgentsService(config, clock, db.database, agents, records, workOn(db.database), state.bus),
  };
}

describe('the canonical agent', () => {
  it('is one when eight replicas start together, and leaves agents of its name alone', async () => {
    const { service } = replica();
    const mine = await service.create({ ...CONFIG, name: 'Nova' }, { anyModel: true });
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const database = new Database();
        database.attach({ ...db.connection, poolSize: 2 });
        const agents = new AgentsRepository(database);
        const records = new AgentRecords(database, agents, state.agents);
        await new AgentsService(
          AppConfig.from({}),
          clock,
          database,
          agents,
          records,
          workOn(database),
          state.bus,
        ).ensureCanonical();
        await database.close();
      }),
    );
    const all = await service.list();
    expect(all.map(({ config }) => config.name)).toEqual(['Nova', 'Nova']);
    expect(all.filter(({ isCanonical }) => isCanonical)).toHaveLength(1);
    await expect(service.delete(all.find(({ isCanonical }) => isCanonical)?.id ?? '')).rejects.toMatchObject({
      code: 'canonical_agent',
    });
    await service.delete(mine.id);
    await service.ensureCanonical();
    expect(await service.list()).toHaveLength(1);
  });
});

describe('the copy in the shared state', () => {
  it('is filled again when it is lost, and drops what does not exist', async () => {
    const { service, records } = replica();
    const agent = await service.create(CONFIG, { anyModel: true });
    expect(await state.agents.get(agent.id)).toMatchObject({ id: agent.id });
    expect(await service.list()).toHaveLength(1);
    expect(await state.agents.all()).not.toBeNull();
    const ghost = clock.newId();
    await state.agents.put(ghost, { ...agent, id: ghost });
    await records.rebuild();
    expect([...((await state.agents.all()) ?? new Map()).keys()]).toEqual([agent.id]);
    state = new InProcessSharedState();
    const fresh = replica();
    expect(await fresh.service.list()).toHaveLength(1);
    expect(await state.agents.all()).not.toBeNull();
  });

  it('is not believed when a record is not an agent', async () => {
    const { service } = replica();
    const agent = await service.create(CONFIG, { anyModel: true });
    await service.list();
    for (const record of ['nonsense', { id: agent.id }, { ...agent, id: 'other' }]) {
      await state.agents.put(agent.id, record);
      expect((await service.get(agent.id)).config.name).toBe('Ada');
      await state.agents.put(agent.id, record);
      expect((await service.list()).map(({ id }) => id)).toEqual([agent.id]);
    }
  });

  it('keeps neither an agent that is deleted while it is filled, nor an old configuration', async () => {
    const other = replica();
    const gone = await other.service.create({ ...CONFIG, name: 'Gone' }, { anyModel: true });
    const changed = await other.service.create({ ...CONFIG, name: 'Old' }, { anyModel: true });
    state = new InProcessSharedState();
    const writer = replica();
    let looks = 0;
    const reader = replica(async () => {
      looks += 1;
      if (looks !== 2) return;
      // Between the copy and the look that checks it.
      await writer.agents.delete(gone.id);
      await writer.service.updateConfig(changed.id, { name: 'New' });
      await state.agents.put(changed.id, { ...changed });
    });
    expect((await reader.records.rebuild()).map(({ config }) => config.name)).toEqual(['New']);
    expect(await state.agents.get(gone.id)).toBeNull();
    expect(await state.agents.get(changed.id)).toMatchObject({ config: { name: 'New' } });
  });

  it('ends with what PostgreSQL has when changes race', async () => {
    const replicas = [replica(), replica(), replica(), replica()];
    const agent = await (replicas[0] as (typeof replicas)[0]).service.create(CONFIG, { anyModel: true });
    await Promise.all(
      Array.from({ length: 40 }, (_, n) => replicas[n % 4]?.service.updateConfig(agent.id, { name: `Name ${n}` })),
    );
    const stored = await replicas[0]?.agents.find(agent.id);
    expect(await state.agents.get(agent.id)).toEqual(JSON.parse(JSON.stringify(stored)));
    await Promise.allSettled([
      replicas[0]?.service.delete(agent.id),
      ...replicas.map(({ service }) => service.updateConfig(agent.id, { name: 'Late' })),
    ]);
    expect(await state.agents.get(agent.id)).toBeNull();
  });
});

it('a task or turn starts twenty things and no more', async () => {
  const started = new StartedWorkRepository(db.database);
  const [parent, other] = [clock.newId(), clock.newId()];
  const taken = await Promise.all(Array.from({ length: 30 }, () => started.take(parent)));
  expect(taken.filter(Boolean)).toHaveLength(20);
  expect(await started.take(parent)).toBe(false);
  expect(await started.take(other)).toBe(true);
  await started.deleteBefore(1);
  expect(await started.take(parent)).toBe(false);
});
