import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AppConfig } from '../../../src/config/index.js';
import { PodAgentsRepository } from '../../../src/modules/pods/pod-agents.repository.js';
import type { NewPodAgent, PodAgent, PodDetail, PodSettings } from '../../../src/modules/pods/pod.js';
import { POD_ROLES } from '../../../src/modules/pods/roles.js';
import { TaskAdminRepository } from '../../../src/modules/pipeline/store/task-admin.repository.js';
import { PodTasks } from '../../../src/modules/pods/pod-tasks.js';
import { PodsRepository } from '../../../src/modules/pods/pods.repository.js';
import { PodsService } from '../../../src/modules/pods/pods.service.js';
import { ToolRegistry } from '../../../src/modules/tools/index.js';
import { Clock } from '../../../src/platform/clock/index.js';
import { Database, sql } from '../../../src/platform/database/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { agentSettings, podSettings, SYSTEM_POD } from '../../support/pods.js';
import { queueOn } from '../pipeline/queue-setup.js';
import { insertTask } from './insert-task.js';
import { eventually } from '../../support/eventually.js';

/** Knows one writing tool, so that the pods' rule can be tried without the tools themselves. */
class Tools extends ToolRegistry {
  override holdsWriting(allowed: readonly string[] | null): boolean {
    return allowed === null || allowed.includes('write_file');
  }
}

const AGENT: NewPodAgent = { ...agentSettings('task', 1), position: undefined };

const clock = new Clock();
let db: TestDatabase;
let pods: PodsService;
/** Another process on the same database. */
let replicaDatabase: Database;
let replica: PodsService;
let names = 0;

const agentsOf = async (podId: string): Promise<PodAgent[]> => (await pods.get(podId)).agents;

function serviceWith(environment: Record<string, string>, database = db.database): PodsService {
  const tasks = new PodTasks();
  tasks.serve(new TaskAdminRepository(database));
  return new PodsService(
    AppConfig.from(environment),
    clock,
    database,
    new PodsRepository(database),
    new PodAgentsRepository(database),
    new Tools(),
    tasks,
  );
}

beforeAll(async () => {
  db = await createTestDatabase();
  pods = serviceWith({});
  replicaDatabase = new Database();
  replicaDatabase.attach(db.connection);
  replica = serviceWith({}, replicaDatabase);
});
afterAll(async () => {
  await replicaDatabase.close();
  await db.drop();
});

function newPod(settings: Partial<PodSettings> = {}): Promise<PodDetail> {
  names += 1;
  return pods.create(podSettings({ name: `Pod ${names}`, ...settings }));
}

const code = (value: string): object => expect.objectContaining({ code: value }) as object;

/** Settles when some session of this database waits for a lock. */
async function untilSomebodyWaits(): Promise<void> {
  const waiting = sql`
    select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  await eventually(
    'a session waits for a lock',
    async () => (await replicaDatabase.query('test.waiting', waiting)).length > 0,
  );
}

describe('editing pods', () => {
  it('changes only what a patch holds, where null is a value', async () => {
    const pod = await newPod({ defaultModel: 'a', maxCostUsd: 2, description: 'Kept' });
    const changed = await pods.update(pod.id, { defaultModel: null, enabled: false, metadata: undefined });
    expect(changed).toEqual({ ...pod, defaultModel: null, enabled: false, updatedAt: expect.any(Date) });
    expect(changed.updatedAt.getTime()).toBeGreaterThan(pod.updatedAt.getTime());
    const untouched = await pods.update(pod.id, {});
    expect(untouched).toEqual({ ...changed, updatedAt: expect.any(Date) });
  });

  it('accepts the tier host only where the service has it, and leaves one alone that is there', async () => {
    await expect(newPod({ sandbox: 'host' })).rejects.toEqual(code('sandbox_not_allowed'));
    const host = serviceWith({ SHELL_SANDBOX: 'host' });
    const pod = await newPod();
    await expect(pods.update(pod.id, { sandbox: 'host' })).rejects.toEqual(code('sandbox_not_allowed'));
    expect((await host.update(pod.id, { sandbox: 'host' })).sandbox).toBe('host');
    expect((await pods.update(pod.id, { sandbox: 'host', description: 'Sent back' })).description).toBe('Sent back');
    expect((await pods.update(pod.id, { sandbox: 'nova' })).sandbox).toBe('nova');
  });

  it('lets one of two pods with the same name in, at whatever speed they come', async () => {
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => newPod({ name: 'Wanted' })));
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toEqual(code('name_taken'));
  });

  it('loses no edit when many come at once', async () => {
    const pod = await newPod();
    const patches: Partial<PodSettings>[] = [
      { description: 'New' },
      { network: 'on' },
      { reviewBy: 'admin' },
      { maxCostUsd: 3 },
      { routingKeywords: ['x'] },
      { metadata: { a: 1 } },
    ];
    await Promise.all(patches.map((patch) => pods.update(pod.id, patch)));
    expect(await pods.get(pod.id)).toMatchObject(Object.assign({}, ...patches) as object);
  });

  it('says not_found for what is not there', async () => {
    const id = clock.newId();
    const pod = await newPod();
    const tries = [
      () => pods.get(id),
      () => pods.update(id, {}),
      () => pods.delete(id),
      () => pods.addAgent(id, AGENT),
      () => pods.updateAgent(id, id, {}),
      () => pods.updateAgent(pod.id, id, {}),
      () => pods.deleteAgent(id, id),
      () => pods.deleteAgent(pod.id, id),
    ];
    for (const attempt of tries) await expect(attempt()).rejects.toEqual(code('not_found'));
  });

  it('does not reach an agent through another pod', async () => {
    const [one, other] = [await newPod(), await newPod()];
    const agent = await pods.addAgent(one.id, AGENT);
    await expect(pods.updateAgent(other.id, agent.id, { name: 'Mine' })).rejects.toEqual(code('not_found'));
    await expect(pods.deleteAgent(other.id, agent.id)).rejects.toEqual(code('not_found'));
    expect(await agentsOf(one.id)).toEqual([agent]);
  });
});

describe('deleting pods', () => {
  it('keeps the system pod', async () => {
    await expect(pods.delete(SYSTEM_POD)).rejects.toEqual(code('system_pod'));
  });

  it('keeps a pod with unfinished tasks, and leaves finished ones readable', async () => {
    const pod = await newPod();
    await pods.addAgent(pod.id, AGENT);
    const task = await insertTask(db.database, { podId: pod.id, status: 'queued' });
    await expect(pods.delete(pod.id)).rejects.toEqual(code('pod_in_use'));
    await db.database.query(
      'test.finish',
      sql`update tasks set status = 'complete', next_status = null, completed_at = clock_timestamp() where id = ${task}`,
    );
    await pods.delete(pod.id);
    await expect(pods.get(pod.id)).rejects.toEqual(code('not_found'));
    const rows = await db.database.query('test.task', sql`select pod_id, pod_name from tasks where id = ${task}`);
    expect(rows).toEqual([{ pod_id: null, pod_name: 'A pod' }]);
  });

  it('waits for a submission under way and then sees its task', async () => {
    const pod = await newPod();
    await pods.addAgent(pod.id, AGENT);
    let deletion: Promise<unknown> = Promise.resolve();
    await db.database.transaction('test.submit', async () => {
      await insertTask(db.database, { podId: pod.id, status: 'queued' });
      deletion = replica.delete(pod.id).catch((error: unknown) => error);
      await untilSomebodyWaits();
    });
    expect(await deletion).toEqual(code('pod_in_use'));
  });

  it('is waited for by a submission, which then finds no pod', async () => {
    const pod = await newPod();
    let submission: Promise<unknown> = Promise.resolve();
    await db.database.transaction('test.delete', async () => {
      await pods.delete(pod.id);
      submission = queueOn(replicaDatabase)
        .submit('admin', 5, pod.id)
        .catch((error: unknown) => error);
      await untilSomebodyWaits();
    });
    expect(await submission).toEqual(code('not_found'));
  });

  it('and adding an agent at once end in one of the two', async () => {
    for (let round = 0; round < 10; round += 1) {
      const pod = await newPod();
      const results = await Promise.allSettled([pods.delete(pod.id), replica.addAgent(pod.id, AGENT)]);
      expect(results[0].status).toBe('fulfilled');
      if (results[1].status === 'rejected') expect(results[1].reason).toEqual(code('not_found'));
    }
  });
});

describe('editing agents', () => {
  it('gives agents that name no position the next free one, also when they come at once', async () => {
    const pod = await newPod();
    await Promise.all(POD_ROLES.map((role) => pods.addAgent(pod.id, { ...AGENT, role })));
    expect((await agentsOf(pod.id)).map((agent) => agent.position)).toEqual([1, 2, 3, 4, 5]);
  });

  it('refuses a second agent of a role and a position that is taken', async () => {
    const pod = await newPod();
    await pods.addAgent(pod.id, { ...AGENT, position: 3 });
    await expect(pods.addAgent(pod.id, AGENT)).rejects.toEqual(code('role_taken'));
    const clash = { ...AGENT, role: 'context' as const, position: 3 };
    await expect(pods.addAgent(pod.id, clash)).rejects.toEqual(code('position_taken'));
    const other = await pods.addAgent(pod.id, { ...clash, position: 4 });
    await expect(pods.updateAgent(pod.id, other.id, { position: 3 })).rejects.toEqual(code('position_taken'));
    await expect(pods.updateAgent(pod.id, other.id, { role: 'task' })).rejects.toEqual(code('role_taken'));
  });

  it('answers every clash of edits at once with a conflict, never with a fault', async () => {
    const pod = await newPod();
    const all = [];
    for (const role of POD_ROLES) all.push(await pods.addAgent(pod.id, { ...AGENT, role }));
    const edits = all.flatMap((agent, index) => [
      pods.updateAgent(pod.id, agent.id, { position: 9 }),
      pods.updateAgent(pod.id, agent.id, { role: POD_ROLES[(index + 1) % POD_ROLES.length]! }),
      pods.addAgent(pod.id, { ...AGENT, role: agent.role }),
    ]);
    for (const result of await Promise.allSettled(edits)) {
      if (result.status === 'rejected') expect(['position_taken', 'role_taken']).toContain(result.reason.code);
    }
    expect((await agentsOf(pod.id)).map((agent) => agent.position)).toContain(9);
  });

  it('checks the result of a patch and not only what it holds', async () => {
    const pod = await newPod();
    const agent = await pods.addAgent(pod.id, { ...AGENT, role: 'context', onFailure: 'skip' });
    await expect(pods.updateAgent(pod.id, agent.id, { role: 'decision' })).rejects.toMatchObject({
      code: 'validation_failed',
      errors: [{ pointer: '#/on_failure' }],
    });
    const changed = await pods.updateAgent(pod.id, agent.id, { role: 'decision', onFailure: 'abort' });
    expect(changed).toMatchObject({ role: 'decision', onFailure: 'abort' });
  });

  it('refuses an agent that is to be skipped before the table does', async () => {
    const pod = await newPod();
    await expect(pods.addAgent(pod.id, { ...AGENT, onFailure: 'skip' })).rejects.toMatchObject({
      code: 'validation_failed',
      errors: [{ pointer: '#/on_failure' }],
    });
  });

  it('keeps writing tools out of agents that run together, from whichever side the edit comes', async () => {
    const pod = await newPod();
    const group = { parallelGroup: 'review' };
    const writer = await pods.addAgent(pod.id, { ...AGENT, ...group, allowedTools: null });
    await expect(pods.addAgent(pod.id, { ...AGENT, ...group, role: 'guardrail' })).rejects.toMatchObject({
      code: 'validation_failed',
      errors: [{ pointer: '#/parallel_group' }],
    });
    const between = await pods.addAgent(pod.id, { ...AGENT, role: 'guardrail' });
    await pods.addAgent(pod.id, { ...AGENT, ...group, role: 'code_review' });
    await expect(pods.deleteAgent(pod.id, between.id)).rejects.toEqual(code('conflict'));
    await expect(pods.updateAgent(pod.id, between.id, { enabled: false })).rejects.toEqual(code('validation_failed'));
    await expect(pods.updateAgent(pod.id, between.id, group)).rejects.toEqual(code('validation_failed'));

    await pods.updateAgent(pod.id, writer.id, { allowedTools: ['read_file'] });
    await pods.updateAgent(pod.id, between.id, group);
    await expect(pods.updateAgent(pod.id, between.id, { allowedTools: ['write_file'] })).rejects.toMatchObject({
      code: 'validation_failed',
      errors: [{ pointer: '#/allowed_tools' }],
    });
    await pods.deleteAgent(pod.id, between.id);
    expect(await agentsOf(pod.id)).toHaveLength(2);
  });
});

describe('snapshotForTask', () => {
  const snapshot = (
    selector: Parameters<PodsService['snapshotForTask']>[0],
  ): ReturnType<PodsService['snapshotForTask']> =>
    db.database.transaction('test.snapshot', () => pods.snapshotForTask(selector));

  it('takes the system pod when none is named', async () => {
    expect(await snapshot({})).toMatchObject({ id: SYSTEM_POD, name: 'Quartet' });
    expect((await snapshot({})).agents.map((agent) => agent.role)).toEqual([...POD_ROLES]);
  });

  it('finds a pod by id, by name and by both', async () => {
    const { id, name } = await newPod();
    const agent = await pods.addAgent(id, AGENT);
    for (const selector of [{ id }, { name }, { id, name }]) {
      expect(await snapshot(selector)).toMatchObject({ id, name, agents: [{ id: agent.id }] });
    }
  });

  it('never takes another pod instead', async () => {
    const pod = await newPod();
    await pods.addAgent(pod.id, AGENT);
    await expect(snapshot({ id: clock.newId() })).rejects.toEqual(code('not_found'));
    await expect(snapshot({ name: 'Nobody' })).rejects.toEqual(code('not_found'));
    await expect(snapshot({ id: pod.id, name: 'Quartet' })).rejects.toEqual(code('validation_failed'));
    await pods.update(pod.id, { enabled: false });
    await expect(snapshot({ id: pod.id })).rejects.toEqual(code('pod_disabled'));
    const empty = await newPod();
    await pods.addAgent(empty.id, { ...AGENT, enabled: false });
    await expect(snapshot({ id: empty.id })).rejects.toEqual(code('conflict'));
  });

  it('does not wait for an edit under way, and is not waited for by one', async () => {
    const pod = await newPod();
    await pods.addAgent(pod.id, AGENT);
    await db.database.transaction('test.edit', async () => {
      await pods.update(pod.id, { description: 'Being edited' });
      expect((await replica.snapshotForTask({ id: pod.id })).id).toBe(pod.id);
    });
    await db.database.transaction('test.submit', async () => {
      await pods.snapshotForTask({ id: pod.id });
      expect((await replica.update(pod.id, { description: 'Edited' })).description).toBe('Edited');
    });
  });
});
