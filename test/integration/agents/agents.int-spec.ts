import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { AppConfig } from '../../../src/config/index.js';
import { AgentRecords } from '../../../src/modules/agents/agent-records.js';
import { AgentWork } from '../../../src/modules/agents/agent-work.js';
import type { Agent, StoredAgent } from '../../../src/modules/agents/agent.js';
import { AgentsRepository } from '../../../src/modules/agents/agents.repository.js';
import { AgentsService } from '../../../src/modules/agents/agents.service.js';
import { TurnsRepository } from '../../../src/modules/tasks/turns.repository.js';
import { StartedWorkRepository } from '../../../src/modules/tools/platform/started-work.repository.js';
import { Clock } from '../../../src/platform/clock/index.js';
import { Database, KeyedTransactions, sql } from '../../../src/platform/database/index.js';
import { InProcessSharedState } from '../../../src/platform/redis/index.js';
import { agentConfig } from '../../support/agents.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';

const CONFIG = agentConfig();
const PAGE = { limit: 50, offset: 0, after: null };

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
function replica(env: Record<string, string> = {}, hook: () => Promise<void> = async () => undefined) {
  class Hooked extends AgentsRepository {
    override async findAll(): Promise<StoredAgent[]> {
      await hook();
      return super.findAll();
    }
  }
  const agents = new Hooked(db.database);
  const records = new AgentRecords(db.database, agents, state.agents);
  const config = AppConfig.from(env);
  return {
    agents,
    records,
    service: new AgentsService(
      config,
      clock,
      db.database,
      new KeyedTransactions(db.database),
      agents,
      records,
      workOn(db.database),
      state.bus,
    ),
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
          new KeyedTransactions(database),
          agents,
          records,
          workOn(database),
          state.bus,
        ).ensureCanonical();
        await database.close();
      }),
    );
    const all = await service.list(PAGE);
    expect(all.map(({ config }) => config.name)).toEqual(['Nova', 'Nova']);
    expect(all.filter(({ isCanonical }) => isCanonical)).toHaveLength(1);
    await expect(service.delete(all.find(({ isCanonical }) => isCanonical)?.id ?? '')).rejects.toMatchObject({
      code: 'canonical_agent',
    });
    await service.delete(mine.id);
    await service.ensureCanonical();
    expect(await service.list(PAGE)).toHaveLength(1);
  });
});

describe('the copy in the shared state', () => {
  it('is filled again when it is lost, and drops what does not exist', async () => {
    const { service, records } = replica();
    const agent = await service.create(CONFIG, { anyModel: true });
    expect(await state.agents.get(agent.id)).toMatchObject({ id: agent.id });
    expect(await service.list(PAGE)).toHaveLength(1);
    await records.rebuild();
    expect(await state.agents.all()).not.toBeNull();
    const ghost = clock.newId();
    await state.agents.put(ghost, { ...agent, id: ghost });
    await records.rebuild();
    expect([...((await state.agents.all()) ?? new Map()).keys()]).toEqual([agent.id]);
    state = new InProcessSharedState();
    const fresh = replica();
    expect(await fresh.service.list(PAGE)).toHaveLength(1);
    await fresh.records.restore();
    expect(await state.agents.all()).not.toBeNull();
  });

  it('is not believed when a record is not an agent', async () => {
    const { service } = replica();
    const agent = await service.create(CONFIG, { anyModel: true });
    for (const record of ['nonsense', { id: agent.id }, { ...agent, id: 'other' }]) {
      await state.agents.put(agent.id, record);
      expect((await service.get(agent.id)).config.name).toBe('Ada');
      await state.agents.put(agent.id, record);
      expect((await service.list(PAGE)).map(({ id }) => id)).toEqual([agent.id]);
    }
  });

  it('keeps neither an agent that is deleted while it is filled, nor an old configuration', async () => {
    const other = replica();
    const gone = await other.service.create({ ...CONFIG, name: 'Gone' }, { anyModel: true });
    const changed = await other.service.create({ ...CONFIG, name: 'Old' }, { anyModel: true });
    state = new InProcessSharedState();
    const writer = replica();
    let looks = 0;
    const reader = replica({}, async () => {
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
    const stored = (await replicas[0]?.agents.findAll())?.find(({ id }) => id === agent.id);
    expect(await state.agents.get(agent.id)).toEqual(JSON.parse(JSON.stringify(stored)));
    await Promise.allSettled([
      replicas[0]?.service.delete(agent.id),
      ...replicas.map(({ service }) => service.updateConfig(agent.id, { name: 'Late' })),
    ]);
    expect(await state.agents.get(agent.id)).toBeNull();
  });
});

describe('what tools start', () => {
  it('is twenty things of a task or turn and no more', async () => {
    const started = new StartedWorkRepository(db.database, AppConfig.from({}));
    const [parent, other] = [clock.newId(), clock.newId()];
    const taken = await Promise.all(Array.from({ length: 30 }, () => started.take(parent, parent)));
    expect(taken.filter((refused) => refused === null)).toHaveLength(20);
    expect(await started.take(parent, parent)).toBe('work');
    expect(await started.take(other, other)).toBeNull();
    await started.deleteBefore(1);
    expect(await started.take(parent, parent)).toBe('work');
  });

  it('is bounded in all below one request, whoever of its work starts it', async () => {
    const started = new StartedWorkRepository(db.database, AppConfig.from({ MAX_STARTED_WORK: '50' }));
    const [root, otherRoot] = [clock.newId(), clock.newId()];
    const works = Array.from({ length: 20 }, () => clock.newId());
    const attempts = works.flatMap((work) => Array.from({ length: 20 }, () => started.take(work, root)));
    expect((await Promise.all(attempts)).filter((refused) => refused === null)).toHaveLength(50);
    expect(await started.take(clock.newId(), root)).toBe('request');
    expect(await started.take(clock.newId(), otherRoot)).toBeNull();
  });
});

describe('lists', () => {
  it('load a page, and of it what they show', async () => {
    const { service } = replica();
    for (let count = 0; count < 12; count += 1) {
      const name = count % 2 === 0 ? 'Even' : 'Odd';
      await service.create({ ...CONFIG, name, systemPrompt: 'x'.repeat(90_000) }, { anyModel: true });
    }
    const page = await service.list({ limit: 5, offset: 0, after: null });
    expect(page).toHaveLength(6);
    expect(page.every(({ config }) => config.systemPrompt.length === 2_001)).toBe(true);
    const last = page[4] as Agent;
    const rest = await service.list({
      limit: 50,
      offset: 0,
      after: { at: last.createdAt.toISOString(), id: last.id },
    });
    expect(rest.map(({ id }) => id)[0]).toBe(page[5]?.id);
    expect(rest).toHaveLength(7);
    expect(await service.list(PAGE, { name: 'Odd' })).toHaveLength(6);
    expect(await service.list(PAGE, { status: 'running' })).toHaveLength(0);
    expect(await service.list(PAGE, { status: 'idle', name: 'Even' })).toHaveLength(6);
  });
});

describe('the agents of a key', () => {
  it('are bounded in number and in bytes; those of others and of before count for nobody', async () => {
    const made = replica({ MAX_KEY_AGENTS: '5', MAX_KEY_MIB: '1' });
    const [one, two] = [`key:${clock.newId()}`, `key:${clock.newId()}`];
    const create = (owner: string | undefined, characters = 10): Promise<Agent> =>
      made.service.create(
        { ...CONFIG, systemPrompt: '€'.repeat(characters) },
        { anyModel: true, ...(owner !== undefined && { owner }) },
      );
    for (let count = 0; count < 10; count += 1) await create(undefined, 90_000);
    const first = await create(one);
    for (let count = 1; count < 5; count += 1) await create(one);
    await expect(create(one)).rejects.toMatchObject({ code: 'quota_exceeded' });
    for (let count = 0; count < 3; count += 1) await create(two, 99_000);
    await expect(create(two, 99_000)).rejects.toMatchObject({ code: 'quota_exceeded' });
    for (let count = 0; count < 6; count += 1) await create('admin', 99_000);
    await made.service.delete(first.id);
    await create(one);
  });

  it('are bounded also for callers at the same moment, in whichever replicas', async () => {
    const replicas = Array.from({ length: 4 }, () => replica({ MAX_KEY_AGENTS: '5' }).service);
    const owner = `key:${clock.newId()}`;
    const made = await Promise.allSettled(
      Array.from({ length: 50 }, (_, n) => replicas[n % 4]?.create(CONFIG, { anyModel: true, owner })),
    );
    const codes = made.flatMap((one) => (one.status === 'rejected' ? [(one.reason as { code: string }).code] : []));
    expect(codes).toEqual(Array<string>(45).fill('quota_exceeded'));
  });
});
