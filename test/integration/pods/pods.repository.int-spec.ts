import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PodAgentsRepository } from '../../../src/modules/pods/pod-agents.repository.js';
import type { PodAgentSettings, PodSettings } from '../../../src/modules/pods/pod.js';
import { TaskAdminRepository } from '../../../src/modules/pipeline/store/task-admin.repository.js';
import { PodsRepository } from '../../../src/modules/pods/pods.repository.js';
import { Clock } from '../../../src/platform/clock/index.js';
import { sql } from '../../../src/platform/database/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { insertTask } from './insert-task.js';

const clock = new Clock();
let db: TestDatabase;
let pods: PodsRepository;
let agents: PodAgentsRepository;
let tasks: TaskAdminRepository;

beforeAll(async () => {
  db = await createTestDatabase();
  pods = new PodsRepository(db.database);
  agents = new PodAgentsRepository(db.database);
  tasks = new TaskAdminRepository(db.database);
});
afterAll(() => db.drop());

const POD: PodSettings = {
  name: 'Full',
  description: 'Every field is set.',
  enabled: false,
  defaultModel: 'script/demo',
  maxCostUsd: 0.1,
  maxExecutionSeconds: 86_400,
  reviewBy: 'admin',
  network: 'on',
  requireHumanReview: 'always',
  escalationThreshold: 'critical',
  sandbox: 'isolated',
  routingKeywords: ['one', 'two, "three"', '{}', 'null', ''],
  metadata: { nested: { list: [1, null, 'x'] }, 'key with "quotes"': true },
};
const AGENT: PodAgentSettings = {
  name: 'Reviewer',
  role: 'code_review',
  description: 'Every field is set.',
  enabled: false,
  position: 1000,
  parallelGroup: 'review',
  model: 'openai/gpt',
  fallbackModels: ['a/b', 'c'],
  temperature: 0.7,
  maxTokens: 1,
  timeoutSeconds: 1,
  maxRetries: 10,
  systemPrompt: 'Say "no" — 🙂\n',
  allowedTools: ['read_file', 'mcp:server'],
  onFailure: 'escalate',
  runCondition: { type: 'and', conditions: [{ type: 'on_pass' }, { type: 'not_flag', flag: 'has_code_artifacts' }] },
  artifactType: 'review',
};

async function podNamed(name: string): Promise<string> {
  const id = clock.newId();
  await pods.insert(id, { ...POD, name, enabled: true });
  return id;
}

describe('PodsRepository', () => {
  it('gives back every field as it was inserted', async () => {
    const id = clock.newId();
    await pods.insert(id, POD);
    const pod = await pods.find(id);
    expect(pod).toEqual({
      ...POD,
      id,
      isSystemDefault: false,
      activeAgentCount: 0,
      agents: [],
      createdAt: expect.any(Date),
      updatedAt: expect.any(Date),
    });
  });

  it('finds nothing for an unknown id', async () => {
    expect(await pods.find(clock.newId())).toBeNull();
  });

  it('refuses a name that is taken, on insert and on update', async () => {
    const id = await podNamed('Taken');
    await expect(pods.insert(clock.newId(), { ...POD, name: 'Taken' })).rejects.toMatchObject({ code: 'name_taken' });
    const other = await podNamed('Free');
    await expect(pods.update(other, { ...POD, name: 'Taken' })).rejects.toMatchObject({ code: 'name_taken' });
    await pods.update(id, { ...POD, name: 'Taken' });
  });

  it('updates every setting and moves updated_at by a visible step, however fast updates follow', async () => {
    const id = await podNamed('Before');
    let last = (await pods.find(id))!.updatedAt;
    for (let round = 0; round < 5; round += 1) {
      await pods.update(id, { ...POD, name: 'After' });
      const pod = (await pods.find(id))!;
      expect(pod).toMatchObject({ ...POD, name: 'After' });
      expect(pod.updatedAt.getTime()).toBeGreaterThan(last.getTime());
      last = pod.updatedAt;
    }
  });

  it('counts the agents that are enabled', async () => {
    const id = await podNamed('Counted');
    await agents.insert(clock.newId(), id, { ...AGENT, role: 'task', position: 1, enabled: true });
    await agents.insert(clock.newId(), id, { ...AGENT, role: 'context', position: 0 });
    expect(await pods.find(id)).toMatchObject({ activeAgentCount: 1, agents: [{ role: 'context' }, { role: 'task' }] });
    expect((await pods.list(200, 0, null)).find((pod) => pod.id === id)?.activeAgentCount).toBe(1);
  });

  it('lists by name, in pages that join without a gap', async () => {
    for (const name of ['page c', 'page a', 'Page B', 'page ä', 'page "']) await podNamed(name);
    const all = (await pods.list(200, 0, null)).map((pod) => pod.name);
    expect(all).toEqual([...all].sort());
    const paged: string[] = [];
    for (let after: string | null = null; ;) {
      const names: string[] = (await pods.list(2, 0, after)).map((pod) => pod.name);
      if (names.length === 0) break;
      paged.push(...names);
      after = names.at(-1) ?? null;
    }
    expect(paged).toEqual(all);
    expect((await pods.list(2, 3, null)).map((pod) => pod.name)).toEqual(all.slice(3, 5));
  });

  it('locks what exists and says so for what does not', async () => {
    const id = await podNamed('Locked');
    expect(await pods.lockForEdit(id)).toBe(true);
    expect(await pods.lockForEdit(clock.newId())).toBe(false);
    expect(await pods.lockForDelete(id)).toEqual({ isSystemDefault: false });
    expect(await pods.lockForDelete(clock.newId())).toBeNull();
  });

  it('knows unfinished tasks from finished ones', async () => {
    const id = await podNamed('Working');
    expect(await tasks.hasUnfinishedOfPod(id)).toBe(false);
    await insertTask(db.database, { podId: id, status: 'complete' });
    expect(await tasks.hasUnfinishedOfPod(id)).toBe(false);
    await insertTask(db.database, { podId: id, status: 'queued' });
    expect(await tasks.hasUnfinishedOfPod(id)).toBe(true);
  });

  it('lets go of ended tasks, as many as it is told', async () => {
    const id = await podNamed('Old');
    for (let count = 0; count < 3; count += 1) await insertTask(db.database, { podId: id, status: 'complete' });
    const unfinished = await insertTask(db.database, { podId: id, status: 'queued' });
    expect(await tasks.detachEndedOfPod(id, 2)).toBe(2);
    expect(await tasks.detachEndedOfPod(id, 2)).toBe(1);
    const left = await db.database.query('test.left', sql`select id from tasks where pod_id = ${id}`);
    expect(left).toEqual([{ id: unfinished }]);
  });

  it('deletes a pod with its agents', async () => {
    const id = await podNamed('Short-lived');
    await agents.insert(clock.newId(), id, AGENT);
    await pods.delete(id);
    expect(await pods.find(id)).toBeNull();
    const left = await db.database.query('test.left', sql`select id from pod_agents where pod_id = ${id}`);
    expect(left).toEqual([]);
  });

  it('snapshots a pod by id, by name and by default, with enabled agents only', async () => {
    const id = await podNamed('Snapped');
    const agentId = clock.newId();
    await agents.insert(agentId, id, { ...AGENT, role: 'task', position: 7, enabled: true });
    await agents.insert(clock.newId(), id, { ...AGENT, role: 'context', position: 1 });
    const snapshot = await pods.snapshot({ id });
    expect(snapshot).toEqual({
      id,
      name: 'Snapped',
      enabled: true,
      defaultModel: POD.defaultModel,
      maxCostUsd: POD.maxCostUsd,
      maxExecutionSeconds: POD.maxExecutionSeconds,
      reviewBy: POD.reviewBy,
      network: POD.network,
      requireHumanReview: POD.requireHumanReview,
      escalationThreshold: POD.escalationThreshold,
      sandbox: POD.sandbox,
      agents: [
        {
          id: agentId,
          name: AGENT.name,
          role: 'task',
          position: 7,
          parallelGroup: AGENT.parallelGroup,
          model: AGENT.model,
          fallbackModels: AGENT.fallbackModels,
          temperature: AGENT.temperature,
          maxTokens: AGENT.maxTokens,
          timeoutSeconds: AGENT.timeoutSeconds,
          maxRetries: AGENT.maxRetries,
          systemPrompt: AGENT.systemPrompt,
          allowedTools: AGENT.allowedTools,
          onFailure: AGENT.onFailure,
          runCondition: AGENT.runCondition,
          artifactType: AGENT.artifactType,
        },
      ],
    });
    expect(JSON.parse(JSON.stringify(snapshot))).toEqual(snapshot);
    expect(await pods.snapshot({ name: 'Snapped' })).toEqual(snapshot);
    expect((await pods.snapshot({}))?.name).toBe('Quartet');
    expect(await pods.snapshot({ id: clock.newId() })).toBeNull();
    expect(await pods.snapshot({ name: 'snapped' })).toBeNull();
  });
});

describe('PodAgentsRepository', () => {
  it('gives back every field as it was inserted and as it was updated', async () => {
    const podId = await podNamed('With agents');
    const id = clock.newId();
    const inserted = await agents.insert(id, podId, AGENT);
    expect(inserted).toEqual({ ...AGENT, id, podId, createdAt: expect.any(Date), updatedAt: expect.any(Date) });
    expect((await pods.find(podId))?.agents).toEqual([inserted]);

    const changed: PodAgentSettings = {
      name: 'Context',
      role: 'context',
      description: '',
      enabled: true,
      position: 0,
      parallelGroup: null,
      model: null,
      fallbackModels: [],
      temperature: 0,
      maxTokens: 1_000_000,
      timeoutSeconds: 86_400,
      maxRetries: 0,
      systemPrompt: null,
      allowedTools: null,
      onFailure: 'skip',
      runCondition: null,
      artifactType: null,
    };
    const updated = await agents.update(id, changed);
    expect(updated).toEqual({ ...inserted, ...changed, updatedAt: expect.any(Date) });
    expect(updated.updatedAt.getTime()).toBeGreaterThan(inserted.updatedAt.getTime());
    expect((await agents.update(id, { ...changed, allowedTools: [] })).allowedTools).toEqual([]);
  });

  it('refuses a position and a role that are taken, on insert and on update', async () => {
    const podId = await podNamed('Full house');
    await agents.insert(clock.newId(), podId, { ...AGENT, role: 'task', position: 1 });
    const other = clock.newId();
    await agents.insert(other, podId, { ...AGENT, role: 'context', position: 2 });
    const clashes = [
      [{ ...AGENT, role: 'guardrail' as const, position: 1 }, 'position_taken'],
      [{ ...AGENT, role: 'task' as const, position: 3 }, 'role_taken'],
    ] as const;
    for (const [agent, code] of clashes) {
      await expect(agents.insert(clock.newId(), podId, agent)).rejects.toMatchObject({ code });
      await expect(agents.update(other, agent)).rejects.toMatchObject({ code });
    }
  });

  it('deletes one agent', async () => {
    const podId = await podNamed('Emptied');
    const id = clock.newId();
    await agents.insert(id, podId, AGENT);
    await agents.delete(id);
    expect((await pods.find(podId))?.agents).toEqual([]);
  });
});
